"""What a hospital sends to the coordinator in order to take part."""

from __future__ import annotations

import importlib.metadata
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import Field

from common.code_digest import code_digest
from common.errors import ConfigError, WireError
from common.files import write_whole
from common.membership.json_text import read_json
from common.membership.node_key import public_line, read_node_key, read_public_key
from common.membership.signature import is_signed, sign
from common.membership.site import Moment, SiteName, Version
from common.settings import Settings

PURPOSE = "enrolment request"
LARGEST_BYTES = 16 * 1024


class EnrolmentRequest(Settings):
    """A site's request to take part under one key, signed with that key."""

    site: SiteName
    public_key: Annotated[str, Field(max_length=1000)]
    """As in an OpenSSH .pub file, without comment."""
    lesionfed_version: Version
    code_digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    created: Moment
    signature: Annotated[str, Field(max_length=1000)] = ""
    """Over everything else, in base64."""

    def signed_bytes(self) -> bytes:
        """What the signature is over: everything but itself."""
        return self.model_copy(update={"signature": ""}).canonical_json().encode()


def write_request(path: Path, *, site: str, key_file: Path) -> EnrolmentRequest:
    """The request that is now at `path`, signed with the site's private key."""
    key = read_node_key(key_file)
    table = {
        "site": site,
        "public_key": public_line(key.public_key()),
        "lesionfed_version": importlib.metadata.version("lesionfed"),
        "code_digest": code_digest(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    unsigned = EnrolmentRequest.from_table(table, where="enrolment request")
    signature = sign(key, unsigned.signed_bytes(), purpose=PURPOSE)
    request = unsigned.model_copy(update={"signature": signature})
    write_whole(path, request.model_dump_json(indent=1).encode())
    return request


def read_request(path: Path) -> EnrolmentRequest:
    """The request in `path`; WireError unless it is whole and signed with the key it names."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file. Check the path.") from None
    table = read_json(content, where=str(path), largest_bytes=LARGEST_BYTES)
    try:
        request = EnrolmentRequest.from_table(table, where=str(path))
        key = read_public_key(request.public_key)
    except ConfigError as error:
        raise WireError(f"{error}\n{path} is no usable enrolment request.") from None
    if not is_signed(key, request.signed_bytes(), request.signature, purpose=PURPOSE):
        raise WireError(
            f"{path}: the signature does not fit: the request of site {request.site!r} was changed "
            "after it was made. Ask the site to send request.json again."
        )
    return request
