"""Signatures under what sites and coordinator hand each other: ECDSA with SHA-384."""

from __future__ import annotations

import base64
import binascii

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

SCHEME = ec.ECDSA(hashes.SHA384())


def sign(key: ec.EllipticCurvePrivateKey, content: bytes, *, purpose: str) -> str:
    """The signature in base64; it holds for this purpose only, not for what Flower has signed."""
    return base64.b64encode(key.sign(framed(content, purpose), SCHEME)).decode("ascii")


def is_signed(
    key: ec.EllipticCurvePublicKey, content: bytes, signature: str, *, purpose: str
) -> bool:
    """Whether the key's owner signed exactly this content for this purpose."""
    try:
        key.verify(base64.b64decode(signature, validate=True), framed(content, purpose), SCHEME)
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def framed(content: bytes, purpose: str) -> bytes:
    """What is signed: the content behind a line that says what for."""
    return f"lesionfed {purpose}\n".encode() + content
