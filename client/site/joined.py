"""The kit of a folder that is ready to take part."""

from __future__ import annotations

from client.site.site import read_site
from client.site.site_folder import SiteFolder
from common.errors import ConfigError
from common.membership.json_text import read_json
from common.membership.kit import LARGEST_BYTES, Kit
from common.membership.node_key import public_key_of


def joined_kit(folder: SiteFolder) -> Kit:
    """Where to connect, and as whom; ConfigError says what the folder lacks.

    The signature was verified when the site joined; from then on the kit is the hospital's own.
    """
    if folder.left_file.exists():
        raise ConfigError(
            f"{folder.path}: this site has left the federation. To take part again, start in a new "
            "folder: lesionfed-site init."
        )
    wanted = (folder.key_file, folder.kit_file, folder.authority_file, folder.settings_file)
    missing = [str(path) for path in wanted if not path.is_file()]
    if missing:
        raise ConfigError(
            f"{folder.path}: this folder has not joined a federation: no {', '.join(missing)}. "
            "First lesionfed-site init, then lesionfed-site join with the coordinator's kit."
        )
    where = str(folder.kit_file)
    content = folder.kit_file.read_bytes()
    kit = Kit.from_table(read_json(content, where=where, largest_bytes=LARGEST_BYTES), where=where)
    site = read_site(folder.settings_file)
    if site.name != kit.site:
        raise ConfigError(
            f"{folder.settings_file}: name = {site.name!r}, and the kit is for {kit.site!r}. Write "
            "the kit's name into site.toml, or join with this site's own kit."
        )
    if public_key_of(folder.key_file) != kit.public_key:
        raise ConfigError(
            f"{folder.kit_file} is for another key than {folder.key_file}: the coordinator's "
            "server would not know this site, or take it for another one. Put the enrolled key "
            "back, or enrol with this one."
        )
    return kit
