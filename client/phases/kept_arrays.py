"""What a site keeps on its disk from one round to the next: arrays that never travel as such.

optimizer-state   with `optimizer.state` = "kept"
norms             with `federation.norms` = "local"
variates          with `federation.drift` = "scaffold"
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import safetensors
import safetensors.numpy

from client.site.settings import Site
from common.files import write_whole
from common.learning.networks.parameters import impossible_norms, not_finite
from common.learning.optimizer_state import State, impossible_values
from common.wire.messages import Assignment

log = logging.getLogger(__name__)

Kept = Literal["optimizer-state", "norms", "variates"]

_FAULT: Mapping[Kept, Callable[[State], str | None]] = {
    "optimizer-state": impossible_values,
    "norms": impossible_norms,
    "variates": not_finite,
}
"""What is kept -> the first of its arrays that cannot be."""

KEPT_ROUNDS = 3
"""A coordinator whose last checkpoint is damaged repeats the last two rounds."""

KEPT_RUNS = 2
"""Two runs may take turns at a site."""


def kept_state(assignment: Assignment, site: Site, what: Kept = "optimizer-state") -> State | None:
    """What the site kept after the last round before this one in which it trained; None without.

    A round that is asked for again begins from the same state as the first time. A file that
    cannot be read counts as none, with a warning in the log, and so does a state that is not
    finite: else a site that diverged once could never train again.
    """
    folder = _folder(assignment, site, what)
    earlier = [path for path in _rounds(assignment, folder) if path < _file(assignment, folder)]
    if not earlier:
        return None
    try:
        state = safetensors.numpy.load(earlier[-1].read_bytes())
    except (OSError, safetensors.SafetensorError) as error:
        log.warning("%s cannot be read, the site goes on without it: %s", earlier[-1], error)
        return None
    if impossible := _FAULT[what](state):
        log.warning(
            "%s: %s has values that cannot be, the site goes on without it", earlier[-1], impossible
        )
        return None
    return state


def keep_state(
    state: State, assignment: Assignment, site: Site, what: Kept = "optimizer-state"
) -> None:
    """Writes the state after this round, whole or not at all, and removes what is too old.

    What was kept after a later round is of a run that was resumed from before it: it goes too.
    """
    folder = _folder(assignment, site, what)
    folder.mkdir(parents=True, exist_ok=True)
    written = _file(assignment, folder)
    write_whole(written, safetensors.numpy.save(dict(state)))
    rounds = _rounds(assignment, folder)
    until = rounds.index(written) + 1
    for path in [*rounds[: max(0, until - KEPT_ROUNDS)], *rounds[until:]]:
        path.unlink(missing_ok=True)
    others = [path for path in folder.parent.iterdir() if path.is_dir() and path != folder]
    others.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for old in others[KEPT_RUNS - 1 :]:
        shutil.rmtree(old, ignore_errors=True)


def _rounds(assignment: Assignment, folder: Path) -> list[Path]:
    """The files of this phase, in the order of rounds."""
    return sorted(folder.glob(f"{assignment.phase}-[0-9]*.safetensors"))


def _file(assignment: Assignment, folder: Path) -> Path:
    """The phase is one part of the run: each network of a cascade has its own."""
    return folder / f"{assignment.phase}-{assignment.round_index:06d}.safetensors"


def _folder(assignment: Assignment, site: Site, what: Kept) -> Path:
    """Of the run and its recipe: another recipe under the same name has another network."""
    of_run = f"{assignment.run}\n{assignment.recipe}\n{assignment.n_sites}"
    return site.work / what / hashlib.sha256(of_run.encode()).hexdigest()[:32]
