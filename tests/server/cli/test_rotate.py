"""`lesionfed rotate` makes the server a new certificate for the address it has now."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.membership.certificate import names_of
from server.cli import main
from tests.consortia import federation, let_authority_expire


def test_the_new_certificate_is_for_the_address_of_now(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    joint = federation(tmp_path)
    moved = joint.settings_file.read_text("utf-8").replace("lesionfed.example.org", "10.77.0.1")
    joint.settings_file.write_text(moved, "utf-8")
    assert main(["rotate", "--federation", str(joint.path)]) == 0
    assert "10.77.0.1" in names_of(joint.certificate_file.read_bytes())
    assert "-s reload" in capsys.readouterr().out


def test_an_expired_authority_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    joint = federation(tmp_path)
    let_authority_expire(joint)
    assert main(["rotate", "--federation", str(joint.path)]) == 2
    assert "the federation's authority expired on" in capsys.readouterr().err
