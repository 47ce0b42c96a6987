"""The runs of a study, one after another: what is finished is kept, what was cut off goes on."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from common.code_digest import code_digest
from common.errors import LesionFedError, RunFolderError
from server.events.history import RunHistory, read_run
from server.events.schema import RunEvent
from server.report.render import write_report
from server.run.run_folder import RunFolder
from server.simulate import simulate

log = logging.getLogger(__name__)

Listener = Callable[[RunEvent], None]


class OneRun(Protocol):
    """What any study says of one of its runs.

    place      its run folder below that of the study
    in_words   such as `federated, without lyon`
    """

    @property
    def place(self) -> Path: ...
    @property
    def in_words(self) -> str: ...


Run = TypeVar("Run", bound=OneRun)
Watch = Callable[[Run], AbstractContextManager[Listener | None]]
"""Entered for each run that is conducted now; what it gives hears the run's events."""
LayOut = Callable[[RunFolder, Run], None]
"""Fills the new folder of a run: its recipe, its sites."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How one network's run ended.

    failed   why it has no result, or None where it was completed
    wall_s   from its first event to its last; None where it was cut off in between
    """

    failed: str | None
    wall_s: float | None


def conduct_runs(
    study: Path,
    runs: Sequence[Run],
    *,
    begun_with: str,
    lay_out: LayOut[Run],
    images: bool = False,
    watch: Watch[Run] | None = None,
) -> None:
    """Trains and judges the network of every run that is not completed yet.

    study        the folder that the runs lie in
    begun_with   digest of the code that the study was planned with
    images       whether each run draws its unseen cases, and its report shows them
    watch        such as a progress display

    A run that was cut off, at whatever point, goes on from its checkpoint; one that failed is
    tried again. A run that fails by an error of ours leaves its reason in its folder, and the next
    one begins. RunFolderError where networks are missing and the code is not that of the plan.
    """
    missing = [run for run in runs if outcome_at(study / run.place).failed is not None]
    if missing and begun_with != code_digest():
        raise RunFolderError(
            f"{study}: LesionFed's own code has changed since this study began, and "
            f"{len(missing)} networks are missing: two versions do not share a table. Put the code "
            "back as it was, or start a new study with another --out."
        )
    for run in runs:
        place = study / run.place
        if run in missing:
            if not place.is_dir():
                _lay_out_whole(study, run, lay_out)
            with (watch or _unwatched)(run) as listener:
                _conduct(RunFolder(place), run.in_words, images=images, listener=listener)
        elif not (place / "report.html").exists():  # cut off just before it
            _report(place, run.in_words, images=images)


def outcome_at(place: Path) -> Outcome:
    """How the run in the folder `place` ended, or that it has not."""
    record = record_at(place)
    if record is None:
        return Outcome(failed="not run yet", wall_s=None)
    ended = record.finished
    if ended is None:
        failed: str | None = "not finished yet"
    else:
        failed = None if ended.status == "completed" else f"{ended.status}: {ended.reason}"
    return Outcome(failed=failed, wall_s=record.wall_s)


def record_at(place: Path) -> RunHistory | None:
    """The run in the folder `place` as its events tell it; None before its first whole event."""
    path = RunFolder(place).events_file
    if not path.exists() or b"\n" not in path.read_bytes():
        return None
    return read_run(path)


def _conduct(folder: RunFolder, in_words: str, *, images: bool, listener: Listener | None) -> None:
    try:
        simulate(folder, images=images, listener=listener)
    except LesionFedError as error:
        log.error("%s has failed, the study goes on: %s", in_words, error)


def _report(place: Path, in_words: str, *, images: bool) -> None:
    try:
        write_report(place, images=images)
    except Exception:  # a report that fails must not keep the tables from being written
        log.exception("%s: the report could not be written", in_words)


def _lay_out_whole(study: Path, run: Run, lay_out: LayOut[Run]) -> None:
    """Makes the run's folder beside its place and moves it there whole."""
    partial = study / run.place.parent / ".partial" / run.place.name
    shutil.rmtree(partial, ignore_errors=True)
    lay_out(RunFolder(partial), run)
    partial.rename(study / run.place)
    partial.parent.rmdir()


def _unwatched(_run: OneRun) -> AbstractContextManager[Listener | None]:
    return nullcontext()
