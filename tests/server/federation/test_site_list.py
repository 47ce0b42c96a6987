"""Every site is listed once, in the order of the consortium's file."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from server.federation.authority import new_authority, new_server_certificate
from server.federation.enrolment import suspend
from server.federation.site_list import expiry_warnings, site_list
from tests.consortia import SETTINGS, enrolled, federation, fingerprint_of, site


def test_planned_and_enrolled_sites_are_distinguished(tmp_path: Path) -> None:
    joint, beta = federation(tmp_path), site(tmp_path, "beta")
    enrolled(joint, beta)
    suspend(joint, "beta")
    listed = site_list(joint)
    assert [(row.site, row.role, row.state, row.fingerprint) for row in listed] == [
        ("alpha", "train", "not enrolled", ""),
        ("beta", "evaluate", "suspended", fingerprint_of(beta)),
    ]


def test_a_member_that_is_no_longer_planned_is_still_listed(tmp_path: Path) -> None:
    joint = federation(tmp_path)
    enrolled(joint, site(tmp_path, "beta"))
    without_beta = SETTINGS.format(port=1, superlink_port=2).rsplit("[[sites]]", 1)[0]
    joint.settings_file.write_text(without_beta, "utf-8")
    assert [(row.site, row.role, row.state) for row in site_list(joint)] == [
        ("alpha", "train", "not enrolled"),
        ("beta", "", "active"),
    ]


def test_a_certificate_that_ends_in_twenty_days_is_warned_of(tmp_path: Path) -> None:
    joint = federation(tmp_path)
    assert expiry_warnings(joint) == []
    now = datetime.now(UTC)
    authority = new_authority("ms-north", now=now - timedelta(days=3653 - 20, hours=-1))
    server = new_server_certificate(authority, address="localhost", now=now)
    joint.certificate_file.write_bytes(server.certificate)
    end = (now + timedelta(days=20, hours=1)).date()
    rotate = f"Make a new one: lesionfed rotate --federation {joint.path}"
    assert expiry_warnings(joint) == [
        f"the server's certificate expires on {end}, in 20 days. {rotate}"
    ]
