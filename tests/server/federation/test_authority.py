"""The authority signs for this federation only, and OpenSSL believes what it signed."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from common.errors import ConfigError
from common.membership.certificate import names_of, validity
from server.federation.authority import Credential, new_authority, new_server_certificate

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def authority() -> Credential:
    return new_authority("ms-north", now=NOW)


def test_the_authority_signs_certificates_and_no_further_authority(authority: Credential) -> None:
    certificate = x509.load_pem_x509_certificate(authority.certificate)
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (
        True,
        True,
        0,
    )
    assert (usage.critical, usage.value.key_cert_sign) == (True, True)
    certificate.verify_directly_issued_by(certificate)
    assert validity(authority.certificate)[1] - NOW > timedelta(days=3650)


def test_the_servers_certificate_signs_nothing(authority: Credential) -> None:
    server = new_server_certificate(authority, address="10.77.0.1", now=NOW)
    certificate = x509.load_pem_x509_certificate(server.certificate)
    extensions = certificate.extensions
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.SERVER_AUTH]
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.certificate))


@pytest.mark.parametrize(
    ("address", "names"),
    [
        ("10.77.0.1", ("localhost", "10.77.0.1", "127.0.0.1")),
        ("Fed.Example.org", ("fed.example.org", "localhost", "127.0.0.1")),
        ("localhost", ("localhost", "127.0.0.1")),
        ("127.0.0.1", ("localhost", "127.0.0.1")),
        ("2001:db8::1", ("localhost", "2001:db8::1", "127.0.0.1")),
    ],
)
def test_the_servers_certificate_is_for_the_address_and_loopback(
    authority: Credential, address: str, names: tuple[str, ...]
) -> None:
    server = new_server_certificate(authority, address=address, now=NOW)
    assert names_of(server.certificate) == names


@pytest.mark.parametrize(
    "address",
    ["https://fed.example.org", "fed.example.org:8443", "fed example", "-a", "fédé.org", ""],
)
def test_what_is_no_address_is_refused(authority: Credential, address: str) -> None:
    with pytest.raises(ConfigError, match="want a host name or an IP address alone"):
        new_server_certificate(authority, address=address, now=NOW)


def test_an_expired_authority_signs_nothing(authority: Credential) -> None:
    later = NOW + timedelta(days=3654)
    with pytest.raises(ConfigError, match="the federation's authority expired on"):
        new_server_certificate(authority, address="localhost", now=later)


def test_the_servers_certificate_never_outlives_the_authority(authority: Credential) -> None:
    late = NOW + timedelta(days=3600)
    server = new_server_certificate(authority, address="localhost", now=late)
    assert validity(server.certificate)[1] == validity(authority.certificate)[1]


def test_a_key_of_another_authority_is_refused(authority: Credential) -> None:
    mixed = Credential(authority.certificate, new_authority("ms-north", now=NOW).key)
    with pytest.raises(ConfigError, match="do not belong together"):
        new_server_certificate(mixed, address="localhost", now=NOW)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_believes_the_chain_strictly(authority: Credential, tmp_path: Path) -> None:
    server = new_server_certificate(authority, address="10.77.0.1", now=NOW)
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    (tmp_path / "server.pem").write_bytes(server.certificate)
    strictly = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver"]
    files = ["-CAfile", str(tmp_path / "ca.pem"), str(tmp_path / "server.pem")]
    good = subprocess.run(
        [*strictly, "-verify_ip", "10.77.0.1", *files], capture_output=True, check=False
    )
    bad = subprocess.run(
        [*strictly, "-verify_ip", "10.77.0.2", *files], capture_output=True, check=False
    )
    assert (good.returncode, bad.returncode) == (0, 2)
