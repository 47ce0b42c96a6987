"""A site's key: made at the site, where its private half stays.

Flower 1.41 takes the private half in OpenSSH's format, on a NIST curve; the public half is written
as one line without comment, `ecdsa-sha2-nistp384 AAAA...`, so that equal keys are equal texts.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
    load_ssh_public_key,
)

from common.errors import ConfigError
from common.files import SECRET, write_whole


def new_node_key(path: Path) -> str:
    """The public half of a new P-384 key whose private half is now at `path`, mode 0600.

    ConfigError where `path` exists: a key is never overwritten.
    """
    if path.exists():
        raise ConfigError(
            f"{path}: there is a key already, and it is what the site is known by. "
            "Keep it, or move it away first."
        )
    key = ec.generate_private_key(ec.SECP384R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    write_whole(path, pem, mode=SECRET)
    return public_line(key.public_key())


def read_node_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The private key in `path`; ConfigError where there is none that Flower accepts."""
    try:
        key = load_ssh_private_key(path.read_bytes(), password=None)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file. Make the key: lesionfed-site init.") from None
    except (ValueError, TypeError, UnsupportedAlgorithm, NotImplementedError) as error:
        raise ConfigError(
            f"{path}: want a private key in OpenSSH's format without passphrase: {error}"
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigError(f"{path}: want an ECDSA key, got {type(key).__name__}")
    return key


def public_key_of(path: Path) -> str:
    """The public half of the private key in `path`, as one line without comment."""
    return public_line(read_node_key(path).public_key())


def read_public_key(public_key: str) -> ec.EllipticCurvePublicKey:
    """The key that one line says; ConfigError unless it is ECDSA and written without comment."""
    try:
        key = load_ssh_public_key(public_key.encode())
    except (ValueError, UnsupportedAlgorithm, NotImplementedError):  # the last: a compressed point
        raise ConfigError(f"not a public key in OpenSSH's format: {public_key[:40]!r}...") from None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ConfigError(f"want an ECDSA public key, got {public_key[:40]!r}...")
    if public_line(key) != public_key:
        raise ConfigError(
            f"want a public key as one line without comment, got {public_key[:40]!r}..."
        )
    return key


def public_line(key: ec.EllipticCurvePublicKey) -> str:
    """The key as one line without comment, `ecdsa-sha2-nistp384 AAAA...`."""
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")


def fingerprint(public_key: str) -> str:
    """What a person compares, "SHA256:" and 43 characters: as `ssh-keygen -lf` prints it."""
    read_public_key(public_key)
    return sha256_text(base64.b64decode(public_key.split()[1]))


def sha256_text(content: bytes) -> str:
    """SHA-256 of `content` as "SHA256:" and base64 without padding."""
    digest = base64.b64encode(hashlib.sha256(content).digest())
    return f"SHA256:{digest.decode('ascii').rstrip('=')}"
