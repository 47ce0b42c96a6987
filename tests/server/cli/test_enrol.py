"""`lesionfed enrol` takes a site in where the fingerprint was told."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.membership.certificate import certificate_fingerprint
from server.cli import main
from tests.consortia import federation, fingerprint_of, site


def test_the_kit_and_what_to_tell_the_site_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    joint, alpha = federation(tmp_path), site(tmp_path, "alpha")
    arguments = ["enrol", str(alpha.request_file), "--federation", str(joint.path)]
    assert main([*arguments, "--fingerprint", fingerprint_of(alpha)]) == 0
    shown = capsys.readouterr().out
    assert str(joint.kits / "alpha.zip") in shown
    assert certificate_fingerprint(joint.authority_file.read_bytes()) in shown
    assert "no server is running" in shown


def test_a_wrong_fingerprint_ends_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    joint, alpha = federation(tmp_path), site(tmp_path, "alpha")
    arguments = ["enrol", str(alpha.request_file), "--federation", str(joint.path)]
    assert main([*arguments, "--fingerprint", "SHA256:" + "A" * 43]) == 2
    assert "Ask the site to read its fingerprint again" in capsys.readouterr().err
    assert joint.members().members == ()


def test_away_from_a_terminal_the_fingerprint_has_to_be_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    joint, alpha = federation(tmp_path), site(tmp_path, "alpha")
    assert main(["enrol", str(alpha.request_file), "--federation", str(joint.path)]) == 2
    assert "gave by telephone" in capsys.readouterr().err


def test_on_a_terminal_the_fingerprint_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    joint, alpha = federation(tmp_path), site(tmp_path, "alpha")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.prompt", lambda text: f" {fingerprint_of(alpha)}\n")
    assert main(["enrol", str(alpha.request_file), "--federation", str(joint.path)]) == 0
    assert list(joint.members().active_keys()) == ["alpha"]
