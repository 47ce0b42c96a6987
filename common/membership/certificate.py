"""What a certificate says: until when it holds, for which names, and how a person knows it."""

from __future__ import annotations

import datetime
import ipaddress
import math

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from common.errors import ConfigError
from common.membership.node_key import sha256_text

EXPIRY_WARNING_DAYS = 30

UNREADABLE = (
    *(ValueError, TypeError, UnsupportedAlgorithm, NotImplementedError),
    *(x509.DuplicateExtension, x509.UnsupportedGeneralNameType),
)
"""What the library raises for a certificate, or a part of it, that it cannot read."""


def load_certificate(pem: bytes, *, where: str) -> x509.Certificate:
    """The first certificate in `pem`; ConfigError where there is none that can be read whole."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        # the library reads these when they are asked for: a fault in them is to be found here
        _ = certificate.public_key(), certificate.extensions, certificate.signature_hash_algorithm
        _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    except UNREADABLE:
        raise ConfigError(f"{where}: not a certificate in PEM. Restore the file.") from None
    return certificate


def validity(pem: bytes) -> tuple[datetime.datetime, datetime.datetime]:
    """From when and until when the certificate holds, UTC."""
    certificate = load_certificate(pem, where="certificate")
    return certificate.not_valid_before_utc, certificate.not_valid_after_utc


def days_left(pem: bytes, *, now: datetime.datetime) -> float:
    """Days until the certificate ends; negative where it has ended."""
    return (validity(pem)[1] - now) / datetime.timedelta(days=1)


def expiry_warning(pem: bytes, *, what: str, now: datetime.datetime) -> str | None:
    """A sentence where the certificate ends within 30 days or has ended, else None."""
    left = days_left(pem, now=now)
    end = validity(pem)[1].date().isoformat()
    if left < 0:
        return f"{what} expired on {end}"
    if left <= EXPIRY_WARNING_DAYS:
        return f"{what} expires on {end}, in {math.floor(left)} days"
    return None


def require_valid(pem: bytes, *, what: str, now: datetime.datetime) -> None:
    """Nothing, or ConfigError where the certificate does not hold now."""
    start, end = validity(pem)
    if now < start:
        raise ConfigError(
            f"{what} holds from {start.isoformat()} and it is {now.isoformat(timespec='seconds')}. "
            "Set this machine's clock."
        )
    if now > end:
        raise ConfigError(
            f"{what} expired on {end.isoformat()}. The coordinator has to provision again, and "
            "every site to enrol again."
        )


def certificate_fingerprint(pem: bytes) -> str:
    """What a person compares, "SHA256:" and 43 characters, over the certificate's DER bytes."""
    return sha256_text(load_certificate(pem, where="certificate").public_bytes(Encoding.DER))


def names_of(pem: bytes) -> tuple[str, ...]:
    """The host names and IP addresses that the certificate is for (subjectAltName)."""
    certificate = load_certificate(pem, where="certificate")
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    hosts = names.get_values_for_type(x509.DNSName)
    addresses = names.get_values_for_type(x509.IPAddress)
    return (*hosts, *(str(address) for address in addresses))


def is_for(pem: bytes, host: str) -> bool:
    """Whether the certificate is for this host name or IP address; wildcards are not ours."""
    try:
        wanted = str(ipaddress.ip_address(host))
    except ValueError:
        wanted = host.lower()
    return wanted in {name.lower() for name in names_of(pem)}
