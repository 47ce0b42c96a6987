"""The ClientApp: decode, handle, encode."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from client.failure import failure_of
from client.handle import handle
from client.site import read_site
from common.errors import ConfigError
from common.wire.codec import pack, unpack
from common.wire.flower_record import from_record, to_record
from common.wire.messages import Reply, Request

LIMIT_BYTES = 2 << 30
"""A larger message is refused before it is decoded."""

app = ClientApp()


@app.query("lesionfed")
def answer(message: Message, context: Context) -> Message:
    """The reply to one message, for the site whose `site.toml` the node's config names."""
    return Message(to_record(pack(_reply(message, context))), reply_to=message)


def _reply(message: Message, context: Context) -> Reply:
    """The site's answer; nothing is raised on, for Flower would send the error's text along."""
    try:
        place = context.node_config.get("site")
        if not isinstance(place, str):
            raise ConfigError("the SuperNode's node-config should say site = the path of site.toml")
        site = read_site(Path(place))
        packed = from_record(message.content, limit_bytes=LIMIT_BYTES)
        return handle(unpack(packed, get_args(Request)), site)
    except Exception as error:
        return failure_of(error)
