"""What a certificate says, read as a person would."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from common.errors import ConfigError
from common.membership.certificate import (
    certificate_fingerprint,
    days_left,
    expiry_warning,
    is_for,
    load_certificate,
    names_of,
    require_valid,
    validity,
)
from server.federation.authority import new_authority, new_server_certificate

MADE = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def pem() -> bytes:
    authority = new_authority("ms-north", now=MADE)
    return new_server_certificate(authority, address="Fed.Example.org", now=MADE).certificate


def test_days_left_count_from_now_to_the_end(pem: bytes) -> None:
    assert validity(pem) == (MADE - timedelta(hours=1), MADE + timedelta(days=397))
    assert days_left(pem, now=MADE + timedelta(days=300)) == 97.0
    assert days_left(pem, now=MADE + timedelta(days=398)) == -1.0


@pytest.mark.parametrize(
    ("day", "said"),
    [
        (366, None),  # 31 days left
        (367, "it expires on 2027-04-02, in 30 days"),
        (396, "it expires on 2027-04-02, in 1 days"),
        (398, "it expired on 2027-04-02"),
    ],
)
def test_the_warning_begins_thirty_days_before_the_end(
    pem: bytes, day: int, said: str | None
) -> None:
    assert expiry_warning(pem, what="it", now=MADE + timedelta(days=day)) == said


def test_a_certificate_holds_between_its_dates_only(pem: bytes) -> None:
    require_valid(pem, what="it", now=MADE)
    with pytest.raises(ConfigError, match=r"it holds from 2026-03-01T11.* Set this machine's cl"):
        require_valid(pem, what="it", now=MADE - timedelta(hours=2))
    with pytest.raises(ConfigError, match="it expired on 2027-04-02"):
        require_valid(pem, what="it", now=MADE + timedelta(days=398))


def test_names_are_the_address_and_loopback(pem: bytes) -> None:
    assert names_of(pem) == ("fed.example.org", "localhost", "127.0.0.1")
    assert [is_for(pem, host) for host in ("FED.example.org", "127.0.0.1", "localhost")] == [
        True
    ] * 3
    assert [is_for(pem, host) for host in ("example.org", "127.0.0.2", "")] == [False] * 3


def test_a_certificate_without_names_is_for_nobody() -> None:
    assert names_of(new_authority("ms-north", now=MADE).certificate) == ()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_the_fingerprint_is_over_what_openssl_says_the_certificate_is(pem: bytes) -> None:
    der = subprocess.run(
        ["openssl", "x509", "-outform", "der"], input=pem, capture_output=True, check=True
    ).stdout
    digest = subprocess.run(
        ["openssl", "dgst", "-sha256", "-binary"], input=der, capture_output=True, check=True
    ).stdout
    text = subprocess.run(
        ["openssl", "base64"], input=digest, capture_output=True, check=True
    ).stdout.decode()
    assert certificate_fingerprint(pem) == f"SHA256:{text.strip().rstrip('=')}"


def test_what_is_no_certificate_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"ca\.pem: not a certificate in PEM"):
        load_certificate(b"hello", where="ca.pem")
