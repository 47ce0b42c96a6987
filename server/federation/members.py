"""Who has enrolled in a federation: a site is its registered public key, and nothing else."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, BinaryIO, Literal, Self

from pydantic import Field, model_validator

from common.errors import ConfigError
from common.files import locked, write_whole
from common.membership.site import SiteName
from common.settings import Settings

State = Literal["active", "suspended", "removed"]


class Member(Settings):
    """One enrolled site."""

    site: SiteName
    public_key: Annotated[str, Field(min_length=1)]
    """As in an OpenSSH .pub file, without comment: `ecdsa-sha2-nistp384 AAAA...`."""
    state: State = "active"
    enrolled: Annotated[str, Field(pattern=r"^[0-9TZ:.+-]{1,40}$")]
    """UTC, ISO 8601."""
    former_keys: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """What the site was known by before its key was replaced, the oldest first."""


class Members(Settings):
    """Every site that has ever enrolled, in the order of enrolment."""

    members: tuple[Member, ...] = ()

    @model_validator(mode="after")
    def _sites_and_keys_differ(self) -> Self:
        sites = [member.site for member in self.members]
        keys = [key for m in self.members for key in (m.public_key, *m.former_keys)]
        if len(set(sites)) != len(sites) or len(set(keys)) != len(keys):
            raise ValueError("two entries have the same site or the same key, one of now or before")
        return self

    def active_keys(self) -> dict[str, str]:
        """Site -> public key, of the sites that may take part now."""
        return {m.site: m.public_key for m in self.members if m.state == "active"}

    def ended_keys(self) -> set[str]:
        """Keys that count no more, for good: of sites that were removed, and those replaced."""
        removed = {m.public_key for m in self.members if m.state == "removed"}
        return removed.union(*(m.former_keys for m in self.members))

    def of(self, site: str) -> Member | None:
        """The site's entry, or None where it has not enrolled."""
        return next((member for member in self.members if member.site == site), None)


def changing(path: Path) -> AbstractContextManager[BinaryIO]:
    """Nobody else changes the members in `path`, or registers them, meanwhile; waits for its turn.

    Not to be entered twice by one caller: it would wait for itself.
    """
    return locked(path.with_name("members.lock"))


def read_members(path: Path) -> Members:
    """Who is in `path`; empty where there is no such file. ConfigError where it is damaged."""
    if not path.exists():
        return Members()
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not readable as JSON: {error}. Restore it.") from None
    return Members.from_table(table, where=str(path))


def write_members(path: Path, members: Members) -> None:
    """Puts the members on disk, whole."""
    write_whole(path, members.model_dump_json(indent=1).encode())
