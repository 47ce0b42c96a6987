"""Kits of a site lyon, for tests of what a site does with one."""

from __future__ import annotations

from common.membership.kit import Kit
from common.membership.site import Role


def kit_for(role: Role, *, requests_key: str = "A" * 43 + "=") -> Kit:
    """The kit of lyon in this role; requests are to be signed with that key."""
    return Kit(
        federation="ms",
        site="lyon",
        role=role,
        public_key="ecdsa-sha2-nistp384 AAAA",
        address="fl.example.org",
        port=443,
        authority_fingerprint="SHA256:" + "A" * 43,
        requests_key=requests_key,
        lesionfed_version="0.1.0",
        code_digest="0" * 64,
        issued="2026-01-01T00:00:00+00:00",
    )
