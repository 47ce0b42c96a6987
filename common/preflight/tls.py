"""Whether the proxy's certificate is the federation's, for this address, and valid today."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime

from common.errors import ConfigError
from common.membership.certificate import (
    certificate_fingerprint,
    expiry_warning,
    load_certificate,
    names_of,
    validity,
)
from common.preflight.check import CheckResult, passed, problem, warning
from common.preflight.coordinator import TIMEOUT_S, Coordinator, reason, unverified

TLS = "TLS certificate"

# X509_V_ERR_* of OpenSSL, which Python does not name
NOT_YET_VALID = 9
EXPIRED = 10
WRONG_NAME = (62, 64)
WRONG_SIGNER = (2, 7, 18, 19, 20, 21, 30)


def tls(coordinator: Coordinator) -> CheckResult:
    """Passed where the federation's authority signed the certificate, for this address and today.

    A warning within 30 days of the certificate's, or the authority's, end.
    """
    try:
        authority = coordinator.authority_file.read_bytes()
        load_certificate(authority, where=str(coordinator.authority_file))
        certificate = served_certificate(coordinator, coordinator.trust())
    except ConfigError as error:
        return problem(TLS, str(error), "Join again with the coordinator's kit.")
    except ssl.SSLCertVerificationError as error:
        return _refused(coordinator, error)
    except FileNotFoundError:
        return problem(
            TLS,
            f"{coordinator.authority_file}: no such file: the proxy cannot be known",
            "At a site, join with the coordinator's kit; at the coordinator, provision first.",
        )
    except OSError as error:
        return problem(
            TLS,
            f"{coordinator.shown} does not speak TLS as expected: {reason(error)}",
            "Something else may answer at this port, or a firewall intercepts TLS. Ask the "
            "coordinator what listens there.",
        )
    return _dates(certificate, authority)


def served_certificate(coordinator: Coordinator, context: ssl.SSLContext) -> bytes:
    """The certificate that the proxy shows, PEM; OSError where `context` does not accept it."""
    where = (coordinator.address, coordinator.port)
    with (
        socket.create_connection(where, timeout=TIMEOUT_S) as plain,
        context.wrap_socket(plain, server_hostname=coordinator.address) as secured,
    ):
        shown = secured.getpeercert(binary_form=True)
    if shown is None:
        raise ConnectionError("the server shows no certificate")
    return ssl.DER_cert_to_PEM_cert(shown).encode()


def _dates(certificate: bytes, authority: bytes) -> CheckResult:
    now = datetime.now(UTC)
    for pem, what, fix in (
        (certificate, "the server's certificate", "The coordinator rotates it: lesionfed rotate."),
        (
            authority,
            "the authority's certificate",
            "The coordinator has to provision again, and every site to join again.",
        ),
    ):
        if text := expiry_warning(pem, what=what, now=now):
            return warning(TLS, text, fix)
    names = ", ".join(names_of(certificate))
    return passed(TLS, f"for {names}, until {validity(certificate)[1].date().isoformat()}")


def _refused(coordinator: Coordinator, error: ssl.SSLCertVerificationError) -> CheckResult:
    """The problem with the certificate that was refused: its signer, its dates or its names."""
    try:
        pem = served_certificate(coordinator, unverified())
        certificate = load_certificate(pem, where="the certificate shown")
        start, end = validity(pem)
        names = ", ".join(names_of(pem)) or "no name"
    except (OSError, ConfigError, ValueError):
        return problem(
            TLS,
            f"the certificate is refused: {error.verify_message}",
            "Ask the coordinator which certificate the proxy has.",
        )
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    if error.verify_code in WRONG_SIGNER:
        authority = coordinator.authority_file.read_bytes()
        return problem(
            TLS,
            f"the certificate is signed by {certificate.issuer.rfc4514_string()}, which is not "
            f"this federation's authority ({certificate_fingerprint(authority)})",
            "Do not connect. Compare the authority's fingerprint with the coordinator by "
            "telephone: the kit is another federation's, or somebody is in between, such as a "
            "firewall that intercepts TLS.",
        )
    if error.verify_code == EXPIRED:
        ended = f"on {end:%Y-%m-%d %H:%M} UTC"
        if end > datetime.now(UTC):
            ended = "in the chain"
        return problem(
            TLS,
            f"the certificate expired {ended}, and here it is {now}",
            "The coordinator rotates it: lesionfed rotate. If the date here is wrong, set this "
            "machine's clock.",
        )
    if error.verify_code == NOT_YET_VALID:
        return problem(
            TLS,
            f"the certificate is not yet valid: it holds from {start:%Y-%m-%d %H:%M} UTC, and here "
            f"it is {now}",
            "If the date here is wrong, set this machine's clock; else the coordinator sets theirs "
            "and rotates the certificate: lesionfed rotate.",
        )
    if error.verify_code in WRONG_NAME:
        return problem(
            TLS,
            f"the certificate is for {names}, not for {coordinator.address}",
            "The coordinator sets `address` in federation.toml to the name that sites use, and "
            "rotates the certificate: lesionfed rotate.",
        )
    return problem(
        TLS,
        f"the certificate is refused: {error.verify_message}",
        "Ask the coordinator which certificate the proxy has.",
    )
