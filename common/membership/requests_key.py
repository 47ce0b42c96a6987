"""The key with which a federation's coordinator signs every request to a site.

Ed25519. The private half lies with the coordinator and nowhere else; the public half stands in the
signed kit of each site. Neither the proxy, nor the SuperLink, nor another site has it: none of
them can ask a site for anything.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
from pathlib import Path
from typing import Annotated

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from pydantic import Field

from common.errors import ConfigError, WireError
from common.files import SECRET, write_whole
from common.membership.json_text import read_json
from common.membership.signature import framed
from common.wire.codec import Packed
from common.wire.seal import LONGEST, Seal, digests

PURPOSE = "request"

RequestsKey = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{43}=$")]
"""The public half: its 32 bytes in base64."""


def new_requests_key(path: Path) -> None:
    """Puts a new private key at `path`, mode 0600, in place of the one that may be there."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_whole(path, pem, mode=SECRET)


def read_requests_key(path: Path) -> Ed25519PrivateKey:
    """The private key in `path`; ConfigError where there is none."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError:
        found = "no such file"
    except (ValueError, TypeError, UnsupportedAlgorithm):
        found = "not a private key in PEM"
    else:
        if isinstance(key, Ed25519PrivateKey):
            return key
        found = f"want an Ed25519 key, got {type(key).__name__}"
    raise ConfigError(
        f"{path}: {found}. This key signs what sites are asked. Restore it from its backup; where "
        "there is none, `lesionfed rotate --requests-key` makes another, and every site joins "
        "again with a new kit."
    )


def public_half(key: Ed25519PrivateKey) -> str:
    """What a kit names."""
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return base64.b64encode(raw).decode("ascii")


def sealed(packed: Packed, seal: Seal, *, key: Ed25519PrivateKey | None) -> Packed:
    """The request under its seal, signed where there is a key.

    key   None in the inline engine alone, where no network is crossed
    """
    text = seal.canonical_json()
    signature = "" if key is None else _signed(key, text)
    return dataclasses.replace(packed, seal=text, signature=signature)


def opened_seal(packed: Packed, *, requests_key: str | None) -> Seal:
    """The seal of a request; WireError unless it was signed with the key, over this content.

    requests_key   as the site's kit names it; None in the inline engine alone: no signature is
                   asked for then, and the digests count all the same
    """
    if requests_key is not None and not _is_signed(packed, requests_key):
        raise WireError(
            "the request does not bear the signature of this federation's coordinator: somebody "
            "else sent it, or the coordinator signs with another key than the kit names. Ask the "
            "coordinator whether the key was rotated; if so, join with a new kit. If not, tell "
            "the hospital's security officer.",
            code="not-signed",
        )
    text = packed.seal.encode(errors="surrogatepass")
    table = read_json(text, where="the request's seal", largest_bytes=LONGEST)
    try:
        seal = Seal.from_table(table, where="the request's seal")
    except ConfigError as error:
        raise WireError(str(error)) from None
    found = digests(packed)
    if any(getattr(seal, name) != digest for name, digest in found.items()):
        raise WireError(
            "the request was changed after it was sealed. Tell the coordinator.", code="seal"
        )
    return seal


def _signed(key: Ed25519PrivateKey, text: str) -> str:
    return base64.b64encode(key.sign(framed(text.encode(), PURPOSE))).decode("ascii")


def _is_signed(packed: Packed, requests_key: str) -> bool:
    if not 0 < len(packed.seal) <= LONGEST:
        return False
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(requests_key, validate=True))
        signature = base64.b64decode(packed.signature[:200], validate=True)
        key.verify(signature, framed(packed.seal.encode(), PURPOSE))
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True
