"""`lesionfed sites` shows who belongs, and changes it without a restart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from server.cli import main
from tests.consortia import (
    enrolled,
    federation,
    fingerprint_of,
    let_authority_expire,
    site,
)


def test_sites_are_listed_with_role_and_state(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    joint, alpha = federation(tmp_path), site(tmp_path, "alpha")
    enrolled(joint, alpha)
    assert main(["sites", "--federation", str(joint.path), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["site"], row["role"], row["state"], row["fingerprint"]) for row in rows] == [
        ("alpha", "train", "active", fingerprint_of(alpha)),
        ("beta", "evaluate", "not enrolled", ""),
    ]


def test_the_table_is_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    joint = federation(tmp_path)
    assert main(["sites", "--federation", str(joint.path)]) == 0
    shown = capsys.readouterr()
    assert "beta" in shown.out
    assert "not enrolled" in shown.out
    assert shown.err == ""


def test_a_site_is_suspended_restored_and_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    joint = federation(tmp_path)
    enrolled(joint, site(tmp_path, "alpha"))
    states = []
    for action in ("suspend", "restore", "remove"):
        assert main(["sites", action, "alpha", "--federation", str(joint.path)]) == 0
        states += [member.state for member in joint.members().members]
    assert states == ["suspended", "active", "removed"]
    assert main(["sites", "restore", "alpha", "--federation", str(joint.path)]) == 2
    assert "'alpha' was removed" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["suspend"], ["list", "alpha"]])
def test_a_name_goes_with_a_change_and_not_with_the_list(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    joint = federation(tmp_path)
    assert main(["sites", *words, "--federation", str(joint.path)]) == 2
    assert f"{words[0]} takes" in capsys.readouterr().err


def test_an_expired_certificate_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    joint = federation(tmp_path)
    let_authority_expire(joint)
    assert main(["sites", "--federation", str(joint.path)]) == 0
    assert "warning: the federation's authority expired on" in capsys.readouterr().err
