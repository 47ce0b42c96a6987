"""`lesionfed rotate` makes the server a new certificate for the address it has now."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from common.membership.certificate import names_of
from common.membership.kit import read_kit
from common.membership.requests_key import public_half, read_requests_key
from server.cli import main
from tests.consortia import enrolled, federation, let_authority_expire, site


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


def test_a_new_key_for_requests_wants_a_new_kit_for_every_site(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    joint = federation(tmp_path)
    made = site(tmp_path, "alpha")
    before, certificate = read_kit(enrolled(joint, made))[0], joint.certificate_file.read_bytes()
    assert main(["rotate", "--requests-key", "--federation", str(joint.path)]) == 0
    assert "lesionfed enrol" in capsys.readouterr().out
    after = read_kit(enrolled(joint, made))[0]
    assert before.requests_key != after.requests_key
    assert after.requests_key == public_half(read_requests_key(joint.requests_key_file))
    assert stat.S_IMODE(joint.requests_key_file.stat().st_mode) == 0o600
    assert joint.certificate_file.read_bytes() == certificate
