"""The ClientApp: decode, handle, encode."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from client.failure import failure_of
from client.handle import handle
from client.site import read_site
from common.errors import CodeMismatch, ConfigError
from common.wire.code_digest import code_digest
from common.wire.codec import Packed, code_digest_in, pack, unpack
from common.wire.flower_record import from_record, to_record
from common.wire.messages import Reply, Request

LIMIT_BYTES = 2 << 30
"""A larger message is refused before it is decoded."""

app = ClientApp()


@app.query("lesionfed")
def answer(message: Message, context: Context) -> Message:
    """The reply to one message, for the site whose `site.toml` the node's config names.

    Nothing is raised on: Flower would send the error's text along.
    """
    try:
        packed = pack(_reply(message, context))
    except Exception as error:
        packed = pack(failure_of(error))
    return Message(to_record(packed), reply_to=message)


def _reply(message: Message, context: Context) -> Reply:
    place = context.node_config.get("site")
    if not isinstance(place, str):
        raise ConfigError("the SuperNode's node-config should say site = the path of site.toml")
    site = read_site(Path(place))
    packed = from_record(message.content, limit_bytes=LIMIT_BYTES)
    require_same_code(packed)
    return handle(unpack(packed, get_args(Request)), site)


def require_same_code(packed: Packed) -> None:
    """Nothing, or CodeMismatch where the coordinator's packages are not the ones installed here."""
    theirs, ours = code_digest_in(packed), code_digest()
    if theirs != ours:
        raise CodeMismatch(
            f"the coordinator runs LesionFed code {str(theirs)[:12]} and this site {ours[:12]}. "
            "Install the version that the coordinator names."
        )
