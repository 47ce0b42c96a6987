"""Whether the server's certificate, its authority and its address fit each other."""

from __future__ import annotations

from datetime import UTC, datetime

from common.errors import ConfigError
from common.membership.certificate import expiry_warning, is_for, names_of, validity
from common.preflight.check import CheckResult, passed, problem, warning
from common.preflight.coordinator import Coordinator, reason, unverified
from common.preflight.tls import served_certificate
from server.federation.authority import require_pair
from server.federation.federation_folder import FederationFolder

FILES = "certificate files"
SERVED = "certificate served"


def certificates(folder: FederationFolder, address: str) -> CheckResult:
    """The dates of both certificates, and whether the server's is for `address`."""
    now = datetime.now(UTC)
    try:
        server = folder.certificate_file.read_bytes()
        authority = folder.authority_file.read_bytes()
        for pem, what, fix in (
            (server, "the server's certificate", "Rotate it: lesionfed rotate."),
            (authority, "the authority's certificate", "Provision again; every site joins again."),
        ):
            start, end = validity(pem)
            if now < start or now > end:
                holds = f"{start.date().isoformat()} to {end.date().isoformat()}"
                return problem(FILES, f"{what} holds from {holds}", f"Check the clock. {fix}")
            if text := expiry_warning(pem, what=what, now=now):
                return warning(FILES, text, fix)
        if not is_for(server, address):
            text = f"the server's certificate is for {', '.join(names_of(server))}, not {address}"
            return problem(FILES, text, "Rotate it: lesionfed rotate.")
        require_pair(folder)
    except OSError as error:
        text = f"{error.filename}: {error.strerror}"
        return problem(FILES, text, "Make it: lesionfed provision.")
    except ConfigError as error:
        return problem(FILES, str(error), "Rotate it: lesionfed rotate.")
    return passed(FILES, f"for {', '.join(names_of(server))}, until {validity(server)[1].date()}")


def certificate_served(folder: FederationFolder, coordinator: Coordinator) -> CheckResult:
    """Whether the proxy shows the certificate on disk: after rotating, it wants a reload."""
    try:
        shown = served_certificate(coordinator, unverified())
        on_disk = folder.certificate_file.read_bytes()
        same = validity(shown) == validity(on_disk) and names_of(shown) == names_of(on_disk)
    except (OSError, ConfigError) as error:
        text = reason(error) if isinstance(error, OSError) else str(error)
        return problem(SERVED, text, "Look at the proxy's log.")
    if not same:
        return problem(
            SERVED,
            f"the proxy shows another certificate than {folder.certificate_file}",
            "Reload the proxy: nginx -s reload, with the nginx.conf of this federation.",
        )
    return passed(SERVED, "the one on disk")
