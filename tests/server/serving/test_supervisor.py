"""What `lesionfed serve` says of its certificates, without starting anything."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

from common.membership.certificate import EXPIRY_WARNING_DAYS, validity
from server.provision.authority import new_authority, new_server_certificate
from server.provision.federation import rotate_certificate
from server.serving.supervisor import _Server
from tests.consortia import federation


def test_a_rotated_certificate_is_told_of_once_and_the_old_one_goes_on_being_warned_of(
    tmp_path: Path,
) -> None:
    joint = federation(tmp_path)
    start, end = validity(joint.certificate_file.read_bytes())
    long_ago = datetime.now(UTC) - (end - start) + timedelta(days=EXPIRY_WARNING_DAYS - 5)
    authority = new_authority("ms-north", now=long_ago)
    joint.authority_file.write_bytes(authority.certificate)
    joint.authority_key_file.write_bytes(authority.key)
    old = new_server_certificate(authority, address="lesionfed.example.org", now=long_ago)
    joint.certificate_file.write_bytes(old.certificate)
    said: list[str] = []
    server = _Server(joint, with_proxy=False, say=said.append, stopped=threading.Event())
    server._look_for_rotation()
    assert said == []
    rotate_certificate(joint)
    server._look_for_rotation()
    server._look_for_rotation()
    assert len(said) == 1
    assert "only after a reload of nginx and a restart of `lesionfed serve`" in said[0]
    server._look_at_certificates()
    assert len(said) == 2
    assert "warning: the server's certificate expires on" in said[1]
    assert said[1].endswith("; run `lesionfed rotate`")
