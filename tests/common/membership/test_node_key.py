"""A site's key is one Flower and OpenSSH accept, and its fingerprint is what ssh-keygen prints."""

from __future__ import annotations

import base64
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from common.errors import ConfigError
from common.membership.node_key import fingerprint, new_node_key, public_key_of, read_public_key

# `ssh-keygen -t ecdsa -b 256` made this key, `ssh-keygen -lf` this fingerprint
KEY = (
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBMBeLj1B"
    "R901T0DDa4e5HJbM15lOjIuwH1457u8H2frW84ppprKM/SBULPGBlDVTLABE/rly3E1S8jRXt2vXAQQ="
)
FINGERPRINT = "SHA256:uxP7ADqR45CCbubXEzJq9NLItVquNc7w/L1H1WfPDa4"


def test_a_new_key_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    new_node_key(tmp_path / "site.key")
    assert stat.S_IMODE((tmp_path / "site.key").stat().st_mode) == 0o600


def test_the_public_half_is_one_line_without_comment(tmp_path: Path) -> None:
    line = new_node_key(tmp_path / "site.key")
    assert line.startswith("ecdsa-sha2-nistp384 AAAA")
    assert len(line.split()) == 2
    assert public_key_of(tmp_path / "site.key") == line


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    first = new_node_key(tmp_path / "site.key")
    with pytest.raises(ConfigError, match=r"site\.key: there is a key already"):
        new_node_key(tmp_path / "site.key")
    assert public_key_of(tmp_path / "site.key") == first


def test_the_fingerprint_is_what_ssh_keygen_printed() -> None:
    assert fingerprint(KEY) == FINGERPRINT


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
def test_ssh_keygen_reads_our_key_and_prints_the_same_fingerprint(tmp_path: Path) -> None:
    line = new_node_key(tmp_path / "site.key")
    shown = subprocess.run(
        ["ssh-keygen", "-lf", str(tmp_path / "site.key")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.split()[:2] == ["384", fingerprint(line)]


def test_flower_reads_our_key_as_one_on_a_nist_curve(tmp_path: Path) -> None:
    from flwr.cli.supernode.register import try_load_public_key

    (tmp_path / "site.pub").write_text(new_node_key(tmp_path / "site.key"), encoding="ascii")
    assert try_load_public_key(tmp_path / "site.pub").startswith(b"-----BEGIN PUBLIC KEY-----")


@pytest.mark.parametrize(
    ("public_key", "message"),
    [
        pytest.param(f"{KEY} alpha@host", "one line without comment", id="a comment"),
        pytest.param("ecdsa-sha2-nistp384 AAAA", "not a public key", id="cut short"),
        pytest.param("", "not a public key", id="empty"),
    ],
)
def test_a_key_has_one_spelling(public_key: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fingerprint(public_key)


def test_an_ed25519_key_is_refused(tmp_path: Path) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    (tmp_path / "key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    )
    line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    with pytest.raises(ConfigError, match="want an ECDSA key, got Ed25519PrivateKey"):
        public_key_of(tmp_path / "key")
    with pytest.raises(ConfigError, match="want an ECDSA public key, got 'ssh-ed25519"):
        fingerprint(line)


def test_a_private_key_in_another_format_is_refused(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    (tmp_path / "key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    with pytest.raises(ConfigError, match="want a private key in OpenSSH's format"):
        public_key_of(tmp_path / "key")


def test_a_missing_key_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such file\. Make the key: lesionfed-site init"):
        public_key_of(tmp_path / "none")


def test_a_point_that_is_compressed_is_no_key_of_ours(tmp_path: Path) -> None:
    kind, blob = new_node_key(tmp_path / "key").split()
    raw = base64.b64decode(blob)
    point = raw.index(b"\x04", 30)
    short = b"\x02" + raw[point + 1 : point + 49]
    compressed = raw[: point - 4] + len(short).to_bytes(4, "big") + short
    with pytest.raises(ConfigError, match="not a public key in OpenSSH's format"):
        read_public_key(f"{kind} {base64.b64encode(compressed).decode()}")
