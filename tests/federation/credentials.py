"""Throw-away certificates and keys for a federation on loopback."""

from __future__ import annotations

import datetime
import ipaddress
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID

LIFETIME = datetime.timedelta(days=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerCredentials:
    """What the coordinator's processes need, as files.

    authority     certificate of the private CA, PEM; every other process trusts it
    certificate   the SuperLink's, for 127.0.0.1 and localhost, PEM
    key           its private key, PEM
    secret        shared by SuperLink and SuperExec, raw bytes
    """

    authority: Path
    certificate: Path
    key: Path
    secret: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeKey:
    """A site's key pair in OpenSSH format; the public half is what the coordinator registers."""

    private: Path
    public: Path


def write_server_credentials(folder: Path) -> ServerCredentials:
    """A private CA, a server certificate signed by it and a SuperExec secret, new, in `folder`."""
    authority_key = ec.generate_private_key(ec.SECP384R1())
    authority = _authority_certificate(authority_key)
    server_key = ec.generate_private_key(ec.SECP384R1())
    server = _server_certificate(server_key, authority, authority_key)
    credentials = ServerCredentials(
        authority=folder / "ca.pem",
        certificate=folder / "server.pem",
        key=folder / "server.key",
        secret=folder / "superexec.secret",
    )
    credentials.authority.write_bytes(authority.public_bytes(Encoding.PEM))
    credentials.certificate.write_bytes(server.public_bytes(Encoding.PEM))
    _write_private(credentials.key, _private_bytes(server_key, PrivateFormat.PKCS8))
    _write_private(credentials.secret, secrets.token_bytes(32))
    return credentials


def write_node_key(folder: Path) -> NodeKey:
    """A new ECDSA P-384 pair, `folder`/node-key and node-key.pub, as `ssh-keygen` would make it."""
    key = ec.generate_private_key(ec.SECP384R1())
    pair = NodeKey(private=folder / "node-key", public=folder / "node-key.pub")
    _write_private(pair.private, _private_bytes(key, PrivateFormat.OpenSSH))
    pair.public.write_bytes(key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH))
    return pair


def _authority_certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = _name("LesionFed test CA")
    return (
        _certificate(name, issuer=name, public_key=key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA384())
    )


def _server_certificate(
    key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    names = x509.SubjectAlternativeName(
        [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
    )
    signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    return (
        _certificate(_name("localhost"), issuer=authority.subject, public_key=key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(names, critical=False)
        .add_extension(signer, critical=False)
        .sign(authority_key, hashes.SHA384())
    )


def _certificate(
    subject: x509.Name, *, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
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
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _private_bytes(key: ec.EllipticCurvePrivateKey, form: PrivateFormat) -> bytes:
    return key.private_bytes(Encoding.PEM, form, NoEncryption())


def _write_private(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
