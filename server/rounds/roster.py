"""Which sites take part, and which of them are online."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from common.errors import ConfigError, QuorumNotMet
from common.membership.site import Role
from server.federation.members import Members, State, read_members
from server.rounds.deadline_grid import DeadlineGrid
from server.run.run_folder import Consortium

log = logging.getLogger(__name__)

POLL_S = 0.5
LIST_S = 1.0
"""Least time that the SuperLink has to say which nodes are online."""

OnWaiting = Callable[[dict[str, Any]], None]
"""Called with what is waited for: `for`, `until`, `have`, `need`."""


def quorum_of(n_sites: int, wanted: int | None, *, n_excluded: int = 0) -> int:
    """Sites whose replies a round needs: as the recipe says, else all of up to three, else 2/3.

    n_excluded   of the sites; where the recipe names no number, the rule is for the others
    """
    if wanted is None:
        n = max(1, n_sites - n_excluded)
        return n if n <= 3 else -(-2 * n // 3)
    if wanted > n_sites:
        raise ConfigError(f"federation.quorum: want at most the {n_sites} sites, got {wanted}")
    return wanted


class Roster:
    """The sites of a consortium as they stand now.

    Where the consortium has a members_file it is read at every question: a site that was enrolled,
    suspended or removed since counts from then on. ConfigError where there is no such file.
    """

    def __init__(self, grid: DeadlineGrid, consortium: Consortium) -> None:
        self._grid = grid
        self._consortium = consortium

    def taking_part(self, roles: Collection[Role]) -> list[str]:
        """Sites with one of these roles, online or not; without those suspended or removed."""
        return [name for name, state in self.states(roles).items() if state == "active"]

    def states(self, roles: Collection[Role]) -> dict[str, State]:
        """Site -> its state, for those with one of these roles; active where it may still enrol."""
        named = [site.name for site in self._consortium.sites if site.role in roles]
        if self._consortium.members_file is None:
            return dict.fromkeys(named, "active")
        members = _members_in(self._consortium.members_file)
        entries = {name: members.of(name) for name in named}
        return {name: "active" if entry is None else entry.state for name, entry in entries.items()}

    def online(self, sites: Collection[str], *, until: float) -> dict[str, int]:
        """Site -> Flower's node id, for those of `sites` that are online.

        A site is known by its registered public key, never by what it says of itself.
        """
        keys = {name: key for name, key in self._keys().items() if name in sites}
        nodes = self._grid.nodes(until=until)
        node_ids = {_registered_key(node.public_key): node.node_id for node in nodes}
        return {name: node_ids[key] for name, key in keys.items() if key in node_ids}

    def _keys(self) -> dict[str, str]:
        if self._consortium.members_file is not None:
            keys = _members_in(self._consortium.members_file).active_keys()
        else:
            keys = {s.name: s.public_key for s in self._consortium.sites if s.public_key}
        return {name: " ".join(key.split()[:2]) for name, key in keys.items()}  # without comments


def gather(
    roster: Roster,
    sites: Sequence[str],
    *,
    quorum: int,
    wait_s: float,
    reserve: Sequence[str] = (),
    not_awaited: Collection[str] = (),
    on_waiting: OnWaiting = lambda facts: None,
    require_running: Callable[[], None] = lambda: None,
) -> dict[str, int]:
    """Site -> Flower's node id, for every one of `sites` that is online.

    reserve       sites that are added, if online, where the quorum is not reached in time without
    not_awaited   sites that were waited for in vain before: once the quorum is online, the round
                  begins without them
    on_waiting    called whenever the set of missing sites has changed
    require_running   called before each look; raises where the run is to end

    Waits until all are online, at most `wait_s`; then continues with those present, or raises
    QuorumNotMet, which names the missing.
    """
    deadline = time.monotonic() + wait_s
    until = datetime.now(UTC) + timedelta(seconds=wait_s)
    awaited: list[str] = []
    while True:
        require_running()
        until_s = max(deadline, time.monotonic() + LIST_S)
        online = roster.online([*sites, *reserve], until=until_s)
        present = {site: online[site] for site in sites if site in online}
        missing = [site for site in sites if site not in present]
        enough = len(present) >= quorum and set(missing) <= set(not_awaited)
        if not missing or enough:
            return present
        if time.monotonic() >= deadline:
            break
        if missing != awaited:
            awaited = missing
            have_and_need = {"have": len(present), "need": quorum}
            on_waiting(
                {"for": missing, "until": until.isoformat(timespec="seconds"), **have_and_need}
            )
        time.sleep(min(POLL_S, wait_s))
    if len(present) < quorum:
        present, sites = online, [*sites, *reserve]
        missing = [site for site in sites if site not in present]
    if len(present) < quorum:
        raise QuorumNotMet(
            f"after {wait_s:g} s {len(present)} of {len(sites)} sites are online and {quorum} are "
            f"needed. Missing: {', '.join(missing)}. Ask them to start their side, then --resume; "
            "or lower federation.quorum."
        )
    log.warning("going on without %s after %g s", ", ".join(missing), wait_s)
    return present


def _members_in(file: Path) -> Members:
    """Who has enrolled; a run has members, so a missing file does not mean none."""
    if not file.exists():
        raise ConfigError(
            f"{file}: no such file, and the run's consortium.toml names it as members_file. If the "
            "federation lies elsewhere now, `lesionfed resume` brings its place up to date; else "
            "restore the file from its backup, then resume."
        )
    return read_members(file)


def _registered_key(public_key: bytes) -> str:
    """A node's key as in an OpenSSH .pub file; a SuperLink gives it as PEM."""
    if not public_key.startswith(b"-----BEGIN"):
        return public_key.decode(errors="replace")
    key = load_pem_public_key(public_key)
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")
