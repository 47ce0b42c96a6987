"""The coordinator's kit, checked and put in its place."""

from __future__ import annotations

from pathlib import Path

from client.site.site import read_site
from client.site.site_folder import SiteFolder
from common.errors import ConfigError
from common.files import write_whole
from common.membership.certificate import certificate_fingerprint
from common.membership.kit import Kit, read_kit
from common.membership.node_key import public_key_of


def join(folder: SiteFolder, kit_file: Path, *, authority: str | None = None) -> Kit:
    """The kit, whose parts now lie in the site's folder.

    authority   fingerprint that the coordinator told by another way; None to compare by eye

    WireError where the kit was changed; ConfigError where it is another site's, or its authority is
    not the one that was told, or (where none was told) not the one the site trusts already.
    """
    kit, authority_pem = read_kit(kit_file)
    _require_own(folder, kit, kit_file)
    found = kit.authority_fingerprint
    if authority is not None and authority.strip() != found:
        raise ConfigError(
            f"{kit_file}: signed by authority {found}, and {authority.strip()!r} was told. Do not "
            "use this kit; ask the coordinator to read the authority's fingerprint again."
        )
    if authority is None and folder.authority_file.exists():
        trusted = certificate_fingerprint(folder.authority_file.read_bytes())
        if trusted != found:
            raise ConfigError(
                f"{kit_file}: signed by authority {found}; this site trusts {trusted}. If the "
                f"coordinator has told of a new one, say --authority {found}"
            )
    folder.kit_file.parent.mkdir(exist_ok=True)
    write_whole(folder.authority_file, authority_pem)
    write_whole(folder.kit_file, kit.canonical_json().encode())
    return kit


def _require_own(folder: SiteFolder, kit: Kit, kit_file: Path) -> None:
    if kit.public_key != public_key_of(folder.key_file):
        raise ConfigError(
            f"{kit_file} was made for another key than {folder.key_file}: it is the kit of site "
            f"{kit.site!r}, or of a former key of this one. Ask the coordinator for this site's."
        )
    name = read_site(folder.settings_file).name
    if kit.site != name:
        raise ConfigError(
            f'{folder.settings_file}: name = "{name}", and the site enrolled as {kit.site!r}. '
            f'Write name = "{kit.site}".'
        )
