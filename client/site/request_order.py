"""Which request this site answered last: none is answered twice, none after a later one."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated

from pydantic import Field

from common.errors import ConfigError, WireError
from common.files import locked, write_whole
from common.settings import Settings
from common.wire.seal import Seal

LIMIT = 100_000
"""Requests of one run that a site answers; a run of 2,000 rounds asks some 10,000."""

MOST_PHASES = 100
"""Different names of phases in one sitting; a run has about ten."""


class Ledger(Settings):
    """What a site remembers of the requests of one run."""

    sitting: int = 0
    number: int = 0
    """Of the request that was begun last."""
    rounds: dict[str, int] = Field(default_factory=dict)
    """Phase -> its last round in this sitting."""
    n_begun: Annotated[int, Field(ge=0)] = 0


class RequestOrder:
    """The ledgers of one site, a file for each run; they outlive the processes.

    folder   inside the site's work folder; made if need be
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin(self, seal: Seal) -> None:
        """Remembers the request before the work on it; WireError where it is not the next.

        A request is spent once begun: work that was killed comes again under a number of its own.
        A coordinator that was restarted asks again for the rounds after its last checkpoint, in a
        sitting of its own: only then may a round come that is not after the last one.
        WireError too where the run has asked LIMIT times.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # by digest: the run's name is the coordinator's, and must not choose a path here
        name = hashlib.sha256(seal.run.encode()).hexdigest()
        path = self._folder / f"{name}.json"
        with locked(path.with_suffix(".lock")):
            write_whole(path, _after(_read(path), seal).canonical_json().encode())


def _read(path: Path) -> Ledger:
    if not path.exists():
        return Ledger()
    try:
        return Ledger.from_table(json.loads(path.read_bytes()), where=str(path))
    except (OSError, RecursionError, ValueError, ConfigError):
        raise ConfigError(
            f"{path}: the ledger of a run cannot be read, and without it an old request could be "
            "answered again. Restore it, or remove it once the coordinator has ended that run."
        ) from None


def _after(ledger: Ledger, seal: Seal) -> Ledger:
    """The ledger with this request in it; WireError where it may not come now."""
    last, now = (ledger.sitting, ledger.number), (seal.sitting, seal.number)
    if now <= last:
        raise WireError(
            f"run {seal.run!r:.200}: request {seal.number} of sitting {seal.sitting} came after "
            f"request {last[1]} of sitting {last[0]}. Each is answered only once, and none after a "
            "later one: a message may have been held back or recorded on its way. A second process "
            "that executes the same run is the other cause.",
            code="replayed",
        )
    rounds = dict(ledger.rounds) if seal.sitting == ledger.sitting else {}
    if seal.round_index < rounds.get(seal.phase, 0):
        raise WireError(
            f"run {seal.run!r:.200}: round {seal.round_index} of {seal.phase} came after round "
            f"{rounds[seal.phase]}, and the coordinator was not restarted. Ask what it does.",
            code="out-of-order",
        )
    rounds[seal.phase] = seal.round_index
    if ledger.n_begun >= LIMIT or len(rounds) > MOST_PHASES:
        raise WireError(
            f"run {seal.run!r:.200}: the site has answered {ledger.n_begun} requests, in "
            f"{len(rounds)} phases; the most of one run are {LIMIT} and {MOST_PHASES}. Ask the "
            "coordinator why there are so many.",
            code="too-many-requests",
        )
    return Ledger(
        sitting=seal.sitting, number=seal.number, rounds=rounds, n_begun=ledger.n_begun + 1
    )
