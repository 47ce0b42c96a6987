"""The ClientApp: decode, handle, encode."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import get_args

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from client.handle import handle
from client.site import read_site
from common.errors import ConfigError, LesionFedError
from common.wire.codec import pack, unpack
from common.wire.flower_record import from_record, to_record
from common.wire.messages import Reply, Request, SiteFailure

log = logging.getLogger(__name__)

LIMIT_BYTES = 2 << 30
"""A larger message is refused before it is decoded."""

app = ClientApp()


@app.query("lesionfed")
def answer(message: Message, context: Context) -> Message:
    """The reply to one message, for the site whose `site.toml` the node's config names."""
    return Message(to_record(pack(_reply(message, context))), reply_to=message)


def _reply(message: Message, context: Context) -> Reply:
    try:
        place = context.node_config.get("site")
        if not isinstance(place, str):
            raise ConfigError("the SuperNode's node-config should say site = the path of site.toml")
        site = read_site(Path(place))
        packed = from_record(message.content, limit_bytes=LIMIT_BYTES)
        return handle(unpack(packed, get_args(Request)), site)
    except LesionFedError as error:
        log.error("%s: %s", type(error).__name__, error)
        return SiteFailure(error=type(error).__name__, code=error.code)
