"""`lesionfed provision` makes a federation and says what comes next."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.membership.certificate import certificate_fingerprint
from server.cli import main
from server.federation.federation_folder import FederationFolder
from tests.consortia import SETTINGS


def test_the_authoritys_fingerprint_and_the_next_commands_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "consortium.toml", tmp_path / "federation"
    file.write_text(SETTINGS.format(port=8443, superlink_port=1), "utf-8")
    assert main(["provision", str(file), "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    authority = FederationFolder(out).authority_file.read_bytes()
    assert f"authority: {certificate_fingerprint(authority)}" in shown
    assert "lesionfed.example.org, localhost, 127.0.0.1" in shown
    assert f"lesionfed serve --federation {out}" in shown


def test_a_folder_is_provisioned_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = tmp_path / "consortium.toml", tmp_path / "federation"
    file.write_text(SETTINGS.format(port=8443, superlink_port=1), "utf-8")
    assert main(["provision", str(file), "--out", str(out)]) == 0
    assert main(["provision", str(file), "--out", str(out)]) == 2
    assert "a federation was provisioned here already" in capsys.readouterr().err
