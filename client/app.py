"""The ClientApp: decode, handle, encode."""

from __future__ import annotations

from pathlib import Path

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from client.failure import failure_of
from client.handle import ANSWERS, handle
from client.site.membership import require_role
from client.site.settings import read_site
from client.site.site_folder import SiteFolder
from common.code_digest import code_digest
from common.errors import CodeMismatch, ConfigError, PolicyRefused, WireError
from common.wire.codec import Packed, code_digest_in, exchange_id_in, pack, unpack
from common.wire.flower_record import from_record, to_record
from common.wire.messages import Reply

LIMIT_BYTES = 2 << 30
"""A larger message is refused before it is decoded."""

app = ClientApp()


@app.query("lesionfed")
def answer(message: Message, context: Context) -> Message:
    """The reply to one message, for the site whose `site.toml` the node's config names.

    No error is raised: Flower would send its text along.
    """
    exchange_id = _exchange_of(message)
    try:
        packed = pack(_reply(message, context), answers=exchange_id)
    except Exception as error:
        packed = pack(failure_of(error), answers=exchange_id)
    return Message(to_record(packed), reply_to=message)


def _reply(message: Message, context: Context) -> Reply:
    place = context.node_config.get("site")
    if not isinstance(place, str):
        raise ConfigError("the SuperNode's node-config should say site = the path of site.toml")
    folder = SiteFolder(Path(place).parent)
    require_not_paused(folder)
    site = read_site(Path(place))
    packed = from_record(message.content, limit_bytes=LIMIT_BYTES)
    require_same_code(packed)
    request = unpack(packed, tuple(ANSWERS))
    require_role(request, folder)
    return handle(request, site)


def _exchange_of(message: Message) -> str | None:
    """The exchange id that the reply carries back; None where the message cannot be read."""
    try:
        return exchange_id_in(from_record(message.content, limit_bytes=LIMIT_BYTES))
    except WireError:  # the error comes again where the whole message is read
        return None


def require_not_paused(folder: SiteFolder) -> None:
    """Nothing, or PolicyRefused while the hospital takes no work (`paused`), or for good (`left`).

    The node stays connected and says so for each request: work that has begun is finished, no
    request is lost between the check for the file and the node's end, and the coordinator reads the
    reason instead of a site that is gone. A node that is stopped could do none of the three.
    """
    for file, code in ((folder.left_file, "left"), (folder.paused_file, "paused")):
        if file.exists():
            raise PolicyRefused(
                f"{file}: this site takes no work while this file exists", code=code
            )


def require_same_code(packed: Packed) -> None:
    """Nothing, or CodeMismatch where the coordinator's packages are not the ones installed here."""
    theirs, ours = code_digest_in(packed), code_digest()
    if theirs != ours:
        raise CodeMismatch(
            f"the coordinator runs LesionFed code {str(theirs)[:12]} and this site {ours[:12]}. "
            "Install the version that the coordinator names."
        )
