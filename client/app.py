"""The ClientApp: admit, decode, handle, encode."""

from __future__ import annotations

from pathlib import Path

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from client.failure import failure_of
from client.handle import ANSWERS, handle
from client.site.admission import admit
from client.site.membership import kit_in, require_role
from client.site.settings import Site, read_site
from client.site.site_folder import SiteFolder
from common.code_digest import code_digest
from common.errors import CodeMismatch, ConfigError, PolicyRefused
from common.membership.kit import Kit
from common.wire.codec import Packed, code_digest_in, pack, unpack
from common.wire.flower_record import from_record, to_record
from common.wire.messages import Reply
from common.wire.seal import Seal, require_sealed_for

LIMIT_BYTES = 2 << 30
"""A larger message is refused before it is decoded."""

app = ClientApp()


@app.query("lesionfed")
def answer(message: Message, context: Context) -> Message:
    """The reply to one message, for the site whose `site.toml` the node's config names.

    No error is raised: Flower would send its text along.
    """
    answers = None
    try:
        settings_file, kit = _place(context)
        require_not_paused(SiteFolder(settings_file.parent))
        site = read_site(settings_file)
        packed = from_record(message.content, limit_bytes=LIMIT_BYTES)
        seal = admit(packed, site=site, kit=kit)
        answers = seal.exchange_id
        reply = pack(_reply(packed, seal, site=site, kit=kit), answers=answers)
    except Exception as error:
        reply = pack(failure_of(error), answers=answers)
    return Message(to_record(reply), reply_to=message)


def _place(context: Context) -> tuple[Path, Kit | None]:
    """The site's `site.toml`, and the kit its node was started with; in the inline engine none."""
    place, kit_file, inline = (context.node_config.get(key) for key in ("site", "kit", "inline"))
    if not isinstance(place, str):
        raise ConfigError("the SuperNode's node-config should say site = the path of site.toml")
    if kit_file is None and inline is not True:
        raise ConfigError(
            "the SuperNode's node-config should say kit = the path of kit.json: it names the key "
            "that requests are signed with. Start the node with lesionfed-site run."
        )
    return Path(place), None if kit_file is None else kit_in(Path(str(kit_file)))


def _reply(packed: Packed, seal: Seal, *, site: Site, kit: Kit | None) -> Reply:
    """The answer to a request that was let in."""
    require_same_code(packed)
    request = unpack(packed, tuple(ANSWERS))
    require_sealed_for(seal, request.assignment)
    if kit is not None:
        require_role(request, kit)
    return handle(request, site)


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
