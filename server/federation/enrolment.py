"""Who belongs to a federation: a site is enrolled, suspended, restored, removed."""

from __future__ import annotations

import importlib.metadata
import logging
from datetime import UTC, datetime
from pathlib import Path

from common.code_digest import code_digest
from common.errors import ConfigError
from common.membership import node_key
from common.membership.certificate import certificate_fingerprint, require_valid
from common.membership.kit import Kit, write_kit
from common.membership.request import EnrolmentRequest, read_request
from common.membership.requests_key import public_half, read_requests_key
from server.federation.federation_folder import FederationFolder, PlannedSite
from server.federation.members import Member, Members, State, changing, write_members

log = logging.getLogger(__name__)


def enrol(
    folder: FederationFolder, request_file: Path, *, fingerprint: str, replace: bool = False
) -> Path:
    """The kit for the site that sent `request_file`; the site is a member from now on.

    fingerprint   of the site's key, as the site gave it by another way than the request came
    replace       take the key in the request in place of the one the site has

    WireError where the request was changed; ConfigError where the site is not planned, or its key
    is not the one given, or name or key belong to another already. The same request again writes
    the kit again.
    """
    request = read_request(request_file)
    planned = _planned(folder, request.site)
    _require_fingerprint(request, fingerprint)
    with changing(folder.members_file):
        members = folder.members()
        _require_free(members, request, replace=replace)
        kit_file = _write_kit(folder, planned, request)
        _write_members(folder, members, request)
    if request.code_digest != code_digest():
        log.warning(
            "site %s runs other code (LesionFed %s) than this machine; its rounds will be refused "
            "until both have the same wheel",
            request.site,
            request.lesionfed_version,
        )
    return kit_file


def suspend(folder: FederationFolder, site: str) -> None:
    """Leaves the site out from the next round on; `restore` brings it back with the same key."""
    _set_state(folder, site, "suspended", from_states=("active", "suspended"))


def restore(folder: FederationFolder, site: str) -> None:
    """Takes a suspended site back from the next round on; ConfigError where it was removed."""
    _set_state(folder, site, "active", from_states=("active", "suspended"))


def remove(folder: FederationFolder, site: str) -> None:
    """Ends the site's membership under its key for good; it may enrol again with a new key."""
    _set_state(folder, site, "removed", from_states=("active", "suspended", "removed"))


def _planned(folder: FederationFolder, site: str) -> PlannedSite:
    sites = {planned.name: planned for planned in folder.settings().sites}
    if site not in sites:
        raise ConfigError(
            f"site {site!r} is not planned in {folder.settings_file}; there are "
            f"{', '.join(sites)}. Add it there as the last [[sites]], or ask the site for its name."
        )
    return sites[site]


def _require_fingerprint(request: EnrolmentRequest, fingerprint: str) -> None:
    found = node_key.fingerprint(request.public_key)
    if fingerprint.strip() != found:
        raise ConfigError(
            f"the key in the request of site {request.site!r} has fingerprint {found}, and "
            f"{fingerprint.strip()!r} was given. Ask the site to read its fingerprint again; if "
            "they still differ, the request is not theirs."
        )


def _require_free(members: Members, request: EnrolmentRequest, *, replace: bool) -> None:
    """Refuses a key that another site has, and a second key for a site unless it is to replace."""
    for other in members.members:
        if request.public_key in other.former_keys:
            raise ConfigError(
                f"the key of site {request.site!r} was replaced before, at site {other.site!r}, "
                "and Flower takes no key twice. Let it make a new one (lesionfed-site init in a "
                "new folder)."
            )
        if other.public_key == request.public_key and other.site != request.site:
            raise ConfigError(
                f"the key of site {request.site!r} is enrolled already, by site {other.site!r}. "
                "Every site makes its own: lesionfed-site init."
            )
    member = members.of(request.site)
    if member is None:
        return
    if member.public_key != request.public_key:
        if not replace:
            raise ConfigError(
                f"site {request.site!r} is enrolled already ({member.state}), with another key: "
                f"{node_key.fingerprint(member.public_key)}. If it made a new one, add --replace."
            )
    elif member.state == "removed":
        raise ConfigError(
            f"site {request.site!r} was removed, and its key with it: Flower takes no key twice. "
            "Let it make a new one (lesionfed-site init in a new folder), then add --replace."
        )
    elif member.state == "suspended":
        raise ConfigError(
            f"site {request.site!r} is enrolled with this key and suspended. "
            f"Restore it: lesionfed sites restore {request.site}"
        )


def _write_kit(folder: FederationFolder, planned: PlannedSite, request: EnrolmentRequest) -> Path:
    settings = folder.settings()
    now = datetime.now(UTC)
    authority_pem = folder.authority_file.read_bytes()
    require_valid(authority_pem, what=f"the authority {folder.authority_file}", now=now)
    kit = Kit(
        federation=settings.name,
        site=planned.name,
        role=planned.role,
        public_key=request.public_key,
        address=settings.address,
        port=settings.port,
        authority_fingerprint=certificate_fingerprint(authority_pem),
        requests_key=public_half(read_requests_key(folder.requests_key_file)),
        lesionfed_version=importlib.metadata.version("lesionfed"),
        code_digest=code_digest(),
        issued=now.isoformat(timespec="seconds"),
    )
    folder.kits.mkdir(exist_ok=True)
    path = folder.kits / f"{planned.name}.zip"
    write_kit(path, kit, authority_pem=authority_pem, authority_key_file=folder.authority_key_file)
    return path


def _write_members(folder: FederationFolder, members: Members, request: EnrolmentRequest) -> None:
    old = members.of(request.site)
    if old is not None and old.public_key == request.public_key:
        return
    new = Member(
        site=request.site,
        public_key=request.public_key,
        enrolled=datetime.now(UTC).isoformat(timespec="seconds"),
        former_keys=(*old.former_keys, old.public_key) if old is not None else (),
    )
    if old is None:
        entries = (*members.members, new)
    else:
        entries = tuple(new if entry is old else entry for entry in members.members)
    write_members(folder.members_file, Members(members=entries))


def _set_state(
    folder: FederationFolder, site: str, state: State, *, from_states: tuple[State, ...]
) -> None:
    with changing(folder.members_file):
        members = folder.members()
        changed = _in_state(members, site, state, from_states=from_states)
        entries = tuple(changed if entry.site == site else entry for entry in members.members)
        write_members(folder.members_file, Members(members=entries))


def _in_state(
    members: Members, site: str, state: State, *, from_states: tuple[State, ...]
) -> Member:
    """The site's entry with the new state; ConfigError where it may not change to it."""
    member = members.of(site)
    if member is None:
        known = ", ".join(entry.site for entry in members.members) or "none"
        raise ConfigError(f"site {site!r} has not enrolled; members are: {known}")
    if member.state not in from_states:
        raise ConfigError(
            f"site {site!r} was {member.state}, and Flower takes no key twice. Let it make a new "
            "key (lesionfed-site init in a new folder) and enrol it with --replace."
        )
    return member.model_copy(update={"state": state})
