"""The federation's own certificate authority, and the server certificate it signs.

ECDSA P-384 throughout, as browsers, OpenSSL and Flower take it. Sites trust the authority's
certificate and nothing else, so a new server certificate asks nothing of them.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from common.errors import ConfigError
from common.membership.certificate import load_certificate, require_valid
from server.federation.federation_folder import FederationFolder

AUTHORITY_LIFETIME = datetime.timedelta(days=3653)
SERVER_LIFETIME = datetime.timedelta(days=397)
CLOCKS_DIFFER = datetime.timedelta(hours=1)
"""A certificate holds from this long before it was made, for sites whose clock is behind."""
HOST_NAME = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9-]{1,63})*"
)


@dataclass(frozen=True, slots=True)
class Credential:
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes


def new_authority(federation: str, *, now: datetime.datetime) -> Credential:
    """A new authority for one federation, valid for ten years."""
    key = ec.generate_private_key(ec.SECP384R1())
    name = _name(f"LesionFed {federation} authority")
    certificate = (
        _certificate(name, issuer=name, public_key=key.public_key())
        .not_valid_before(now - CLOCKS_DIFFER)
        .not_valid_after(now + AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA384())
    )
    return _credential(certificate, key)


def new_server_certificate(
    authority: Credential, *, address: str, now: datetime.datetime
) -> Credential:
    """A certificate for `address`, localhost and 127.0.0.1, with a new key, valid for 397 days.

    ConfigError where the authority does not hold now, or `address` is no host name or IP address.
    It never outlives its authority.
    """
    require_valid(authority.certificate, what="the federation's authority", now=now)
    issuer = load_certificate(authority.certificate, where="the federation's authority")
    issuer_key = load_pem_private_key(authority.key, password=None)
    if not isinstance(issuer_key, ec.EllipticCurvePrivateKey):
        raise ConfigError(f"the authority's key: want ECDSA, got {type(issuer_key).__name__}")
    if issuer_key.public_key() != issuer.public_key():
        raise ConfigError(
            "the authority's key and certificate do not belong together. Restore them."
        )
    key = ec.generate_private_key(ec.SECP384R1())
    signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    certificate = (
        _certificate(_name("LesionFed server"), issuer=issuer.subject, public_key=key.public_key())
        .not_valid_before(now - CLOCKS_DIFFER)
        .not_valid_after(min(now + SERVER_LIFETIME, issuer.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(_names(address)), critical=False)
        .add_extension(signer, critical=False)
        .sign(issuer_key, hashes.SHA384())
    )
    return _credential(certificate, key)


def require_pair(folder: FederationFolder) -> None:
    """Nothing, or ConfigError where the server's certificate is for another key than the one there.

    `lesionfed rotate` writes the key, then the certificate. Cut off in between it leaves a pair
    that neither nginx nor the SuperLink starts with.
    """
    file = folder.certificate_file
    certificate = load_certificate(file.read_bytes(), where=str(file))
    if _server_key(folder).public_key() != certificate.public_key():
        raise ConfigError(
            f"{file} and {folder.certificate_key_file} do not belong together: was `lesionfed "
            f"rotate` cut off? Run `lesionfed rotate --federation {folder.path}` again."
        )


def _server_key(folder: FederationFolder) -> PrivateKeyTypes:
    file = folder.certificate_key_file
    try:
        return load_pem_private_key(file.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError(
            f"{file}: not a private key in PEM. Run `lesionfed rotate --federation {folder.path}`."
        ) from None


def _names(address: str) -> list[x509.GeneralName]:
    """The address, localhost and 127.0.0.1, each once."""
    names: list[x509.GeneralName] = [
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]
    try:
        ours: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        if not HOST_NAME.fullmatch(address):
            if "_" in address and HOST_NAME.fullmatch(address.replace("_", "-")):
                raise ConfigError(
                    f"address = {address!r}: a host's name holds no underscore (RFC 1123), and no "
                    "certificate can be made for one. Ask for a name in DNS without it, such as "
                    f"{address.replace('_', '-')}, or give the IP address."
                ) from None
            raise ConfigError(
                f"address = {address!r}: want a host name or an IP address alone, such as "
                "lesionfed.example.org, without https:// and without port"
            ) from None
        ours = x509.DNSName(address.lower())
    return names if ours in names else [ours, *names]


def _certificate(
    subject: x509.Name, *, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """For the authority: signs certificates, and kits; for the server: TLS handshakes."""
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _credential(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Credential:
    return Credential(
        certificate=certificate.public_bytes(Encoding.PEM),
        key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )
