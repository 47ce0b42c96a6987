"""Does the coordinator's name lead to an address?"""

from __future__ import annotations

import ipaddress
import socket

from common.preflight.check import Check, passed, problem

NAME = "name resolution"


def name_resolution(address: str) -> Check:
    """Passed with the addresses that `address` leads to; the operating system bounds the wait."""
    try:
        return passed(NAME, f"{ipaddress.ip_address(address)} is an IP address")
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(address, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return problem(
            NAME,
            f"the name {address} is not known here",
            "Compare it with what the coordinator says; then ask your network's people for a DNS "
            "entry, or add the name to /etc/hosts.",
        )
    addresses = sorted({str(entry[4][0]) for entry in found})
    return passed(NAME, f"{address} is {', '.join(addresses)}")
