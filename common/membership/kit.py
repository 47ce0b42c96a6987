"""What the coordinator hands to an enrolled site: where to connect, as whom, and whom to trust.

A zip of three plain members. `kit.sig` is the authority's signature over the bytes of `kit.json`,
and `kit.json` names the fingerprint of `ca.pem`: a kit that anyone changed does not open. Whether
the authority is the right one is for two people to compare by telephone. Nothing in it is secret,
and nothing in it is a setting of the hospital's.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import Field

from common.errors import ConfigError, WireError, printable
from common.files import write_whole
from common.membership.certificate import (
    certificate_fingerprint,
    load_certificate,
    require_valid,
)
from common.membership.json_text import read_json
from common.membership.requests_key import RequestsKey
from common.membership.signature import is_signed, sign
from common.membership.site import Address, Moment, Role, SiteName, Version
from common.settings import Settings

PURPOSE = "site kit"
MEMBERS = ("ca.pem", "kit.json", "kit.sig")
LARGEST_BYTES = 64 * 1024
"""Of the zip, and of each member."""


class Kit(Settings):
    """What one site has to know of the federation."""

    federation: SiteName
    site: SiteName
    role: Role
    public_key: Annotated[str, Field(max_length=1000)]
    """The site's, as enrolled: a kit is of use to the owner of this key only."""
    address: Address
    """Host name or IP address of the coordinator's proxy."""
    port: Annotated[int, Field(ge=1, le=65535)]
    authority_fingerprint: Annotated[str, Field(pattern=r"^SHA256:[A-Za-z0-9+/]{43}$")]
    requests_key: RequestsKey
    """What the coordinator signs its requests to this site with: the public half."""
    lesionfed_version: Version
    code_digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    issued: Moment


def write_kit(path: Path, kit: Kit, *, authority_pem: bytes, authority_key_file: Path) -> None:
    """Puts the signed zip at `path`."""
    key = load_pem_private_key(authority_key_file.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigError(f"{authority_key_file}: want an ECDSA key, got {type(key).__name__}")
    content = kit.canonical_json().encode()
    members = {
        "ca.pem": authority_pem,
        "kit.json": content,
        "kit.sig": sign(key, content, purpose=PURPOSE).encode(),
    }
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_STORED) as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    write_whole(path, zipped.getvalue())


def read_kit(path: Path) -> tuple[Kit, bytes]:
    """The kit in `path` and the authority's certificate (PEM).

    WireError unless it is whole, of our three members, and signed by the authority in it;
    ConfigError where the authority's certificate does not hold now.
    """
    members = _members(path)
    authority_pem = members["ca.pem"]
    table = read_json(members["kit.json"], where=f"{path}: kit.json", largest_bytes=LARGEST_BYTES)
    try:
        kit = kit_of(table, where=f"{path}: kit.json")
        authority = load_certificate(authority_pem, where=f"{path}: ca.pem")
    except ConfigError as error:
        raise WireError(f"{error}\n{path} is no usable kit. Ask for it again.") from None
    key = authority.public_key()
    signature = members["kit.sig"].decode("ascii", errors="replace")
    if (
        not isinstance(key, ec.EllipticCurvePublicKey)
        or not is_signed(key, members["kit.json"], signature, purpose=PURPOSE)
        or certificate_fingerprint(authority_pem) != kit.authority_fingerprint
    ):
        raise WireError(
            f"{path}: the authority's signature does not fit: the kit was changed after it was "
            "made. Ask the coordinator to send it again."
        )
    what = f"the authority's certificate in {path}"
    require_valid(authority_pem, what=what, now=datetime.now(UTC))
    return kit, authority_pem


def kit_of(table: Mapping[str, object], *, where: str) -> Kit:
    """The kit that kit.json describes; ConfigError lists its faults.

    where   what the table was read from, named in the error
    """
    if Kit.model_fields.keys() - table.keys() == {"requests_key"}:
        raise ConfigError(
            f"{where}: a kit of an older LesionFed: it does not name the key that requests "
            "are signed with. Ask the coordinator for a new kit (lesionfed enrol, with the same "
            "request), and join with it."
        )
    return Kit.from_table(table, where=where)


def _members(path: Path) -> dict[str, bytes]:
    """The bytes of our three members, none longer than allowed."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file. Check the path.") from None
    if len(content) > LARGEST_BYTES:
        raise WireError(f"{path}: a kit has at most {LARGEST_BYTES} bytes. This is no kit.")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _require_ours(archive, path)
            return {name: archive.read(name) for name in MEMBERS}
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, struct.error):
        # RuntimeError: zipfile's word for a member that wants a password
        raise WireError(
            f"{path}: not a whole zip. Ask the coordinator for the kit again."
        ) from None


def _require_ours(archive: zipfile.ZipFile, path: Path) -> None:
    """Refuses other members than ours, packed or huge ones, before any is read."""
    names = sorted(member.filename for member in archive.infolist())
    if names != sorted(MEMBERS):
        found = ", ".join(printable(name[:80]) for name in names[:10]) or "nothing"
        raise WireError(
            f"{path}: a kit holds {', '.join(MEMBERS)} and nothing else; this one holds "
            f"{found}. Do not use it; ask the coordinator."
        )
    for member in archive.infolist():
        if member.file_size > LARGEST_BYTES:
            raise WireError(
                f"{path}: {member.filename} says {member.file_size} bytes; want at most "
                f"{LARGEST_BYTES}. Do not use it; ask the coordinator."
            )
        if member.compress_type != zipfile.ZIP_STORED:
            raise WireError(
                f"{path}: {member.filename} is compressed, and no member of a kit is. "
                "Do not use it; ask the coordinator."
            )
