"""Do environment variables send the connection another way?"""

from __future__ import annotations

from urllib.request import getproxies_environment, proxy_bypass

from common.preflight.check import Check, passed, warning

NAME = "proxy variables"


def proxy_variables(address: str) -> Check:
    """A warning where HTTPS_PROXY or ALL_PROXY holds for `address`: the SuperNode follows them."""
    proxies = getproxies_environment()
    taken = next((name for name in ("https", "all") if name in proxies), None)
    if taken is None:
        return passed(NAME, "none is set")
    variable = f"{taken.upper()}_PROXY"
    if proxy_bypass(address):
        return passed(NAME, f"{variable} is set, and NO_PROXY excepts {address}")
    return warning(
        NAME,
        f"{variable} is set: the SuperNode goes through that proxy, this preflight did not",
        f"Where a direct connection is allowed: export NO_PROXY={address}. A proxy that breaks TLS "
        "open cannot be used.",
    )
