"""A site joins a federation with the coordinator's kit, keeps to its role, and leaves."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from client.site.settings import read_site
from client.site.site_folder import SiteFolder
from common.errors import ConfigError, LesionFedError, PolicyRefused
from common.files import write_whole
from common.membership.certificate import certificate_fingerprint
from common.membership.json_text import read_json
from common.membership.kit import LARGEST_BYTES, Kit, kit_of, read_kit
from common.membership.node_key import public_key_of
from common.wire.messages import Request, StatisticsRequest, ThresholdRequest

ALLOWED: Mapping[str, type[StatisticsRequest] | type[ThresholdRequest]] = {
    "statistics": StatisticsRequest,
    "evaluate": ThresholdRequest,
}
"""Role -> what it answers; a site that trains answers everything."""


def join_federation(folder: SiteFolder, kit_file: Path, *, authority: str | None = None) -> Kit:
    """The kit, whose parts now lie in the site's folder.

    authority   fingerprint that the coordinator gave by another way; None to compare by eye

    WireError where the kit was changed; ConfigError where it is another site's, or its authority is
    not the one given, or (where none is given) not the one the site trusts already.
    """
    kit, authority_pem = read_kit(kit_file)
    _require_own(folder, kit, kit_file)
    found = kit.authority_fingerprint
    if authority is not None and authority.strip() != found:
        raise ConfigError(
            f"{kit_file}: signed by authority {found}, and {authority.strip()!r} was given. Do not "
            "use this kit; ask the coordinator to read the authority's fingerprint again."
        )
    if authority is None and folder.authority_file.exists():
        trusted = certificate_fingerprint(folder.authority_file.read_bytes())
        if trusted != found:
            raise ConfigError(
                f"{kit_file}: signed by authority {found}; this site trusts {trusted}. If the "
                f"coordinator has announced a new one, add --authority {found}"
            )
    _require_no_older(folder, kit, kit_file)
    folder.kit_file.parent.mkdir(exist_ok=True)
    write_whole(folder.authority_file, authority_pem)
    write_whole(folder.kit_file, kit.canonical_json().encode())
    return kit


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
    kit = kit_in(folder.kit_file)
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


def kit_in(file: Path) -> Kit:
    """The kit that the site joined with, as it lies in its folder."""
    where = str(file)
    table = read_json(file.read_bytes(), where=where, largest_bytes=LARGEST_BYTES)
    return kit_of(table, where=where)


def leave_federation(folder: SiteFolder, *, delete_key: bool) -> str:
    """The name of the site that has left; its folder is marked, and its running node ends.

    ConfigError where the folder is no site's. Leaving twice is no error.
    """
    if not folder.settings_file.is_file():
        raise ConfigError(f"{folder.path}: no site.toml here. Give the site's folder.")
    name = read_site(folder.settings_file).name
    folder.left_file.touch()
    if delete_key:
        folder.key_file.unlink(missing_ok=True)
    return name


def require_role(request: Request, kit: Kit) -> None:
    """Nothing, or PolicyRefused where the kit gives a role that does not do this.

    A site enrolled to score never trains, whatever the coordinator's settings say later.
    """
    allowed = ALLOWED.get(kit.role)
    if allowed is not None and not isinstance(request, allowed):
        raise PolicyRefused(
            f"kit.json: this site was enrolled for the role {kit.role!r}, and a "
            f"{type(request).__name__} came. If the hospital agrees to another role, it enrols "
            "again and joins with the new kit.",
            code="other-role",
        )


def _require_no_older(folder: SiteFolder, kit: Kit, kit_file: Path) -> None:
    """Nothing, or ConfigError where the kit that the site has joined with is a newer one.

    What an old kit says of address, role and keys may have been taken back since. With another
    authority, which then was given, the federation has begun anew, and dates say nothing.
    """
    if not folder.kit_file.exists():
        return
    try:
        joined = kit_in(folder.kit_file)
    except LesionFedError:  # damaged, or of a version that wrote kits otherwise
        return
    same = joined.authority_fingerprint == kit.authority_fingerprint
    if same and datetime.fromisoformat(kit.issued) < datetime.fromisoformat(joined.issued):
        raise ConfigError(
            f"{kit_file}: issued {kit.issued}, and this site has joined with a kit of "
            f"{joined.issued}. Join with the newest that the coordinator has made; if that is this "
            f"one, remove {folder.kit_file} first."
        )


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
