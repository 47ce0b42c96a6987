"""Every network of a study, one after another; what is finished is kept."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from common.errors import LesionFedError, RunFolderError
from common.wire.code_digest import code_digest
from server.events import Event
from server.leave_site_out.plan import Plan, PlannedRun
from server.leave_site_out.pooled_site import pool_sites
from server.leave_site_out.study_folder import StudyFolder
from server.report.render import write_report
from server.report.run_record import RunRecord, read_run
from server.run_folder import RunFolder
from server.simulate import lay_out, simulate

log = logging.getLogger(__name__)

Listener = Callable[[Event], None]
Watch = Callable[[PlannedRun], AbstractContextManager[Listener | None]]
"""Entered for each run that is conducted now; what it gives hears the run's events."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How one network's run ended.

    failed   why it has no result, or None where it was completed
    wall_s   from its first event to its last; None where it was cut off in between
    """

    failed: str | None
    wall_s: float | None


def conduct_study(folder: StudyFolder, *, images: bool = False, watch: Watch | None = None) -> None:
    """Trains and judges every network of the plan that has no completed run yet.

    images   whether each run draws its unseen cases, and its report shows them
    watch    such as a progress display

    A run that was cut off, at whatever point, goes on from its checkpoint; one that failed is
    tried again. A run that fails by an error of ours leaves its reason in its folder, and the next
    one begins. RunFolderError where networks are missing and the code is not that of the plan.
    """
    plan = folder.plan()
    missing = [run for run in plan.runs() if not _is_completed(folder, run)]
    if missing and plan.code_digest != code_digest():
        raise RunFolderError(
            f"{folder.path}: LesionFed's own code has changed since this study began, and "
            f"{len(missing)} networks are missing: two versions do not share a table. Put the code "
            "back as it was, or start a new study with another --out."
        )
    for run in plan.runs():
        if run in missing:
            with (watch or _unwatched)(run) as listener:
                _conduct(folder, plan, run, images=images, listener=listener)
        elif not (folder.path / run.place / "report.html").exists():  # cut off just before it
            _report(folder, run, images=images)


def outcome_of(folder: StudyFolder, run: PlannedRun) -> Outcome:
    """How the run of one network ended, or that it has not."""
    record = _record(folder, run)
    if record is None:
        return Outcome(failed="not run yet", wall_s=None)
    wall_s = (record.last_time - record.started.time).total_seconds()
    ended = record.finished
    if ended is None:
        failed: str | None = "not finished yet"
    else:
        failed = None if ended.status == "completed" else f"{ended.status}: {ended.reason}"
    return Outcome(failed=failed, wall_s=None if record.n_resumed else wall_s)


def _conduct(
    folder: StudyFolder,
    plan: Plan,
    run: PlannedRun,
    *,
    images: bool,
    listener: Listener | None,
) -> None:
    run_folder = folder.run_folder(run)
    if not run_folder.path.is_dir():
        _lay_out(folder, plan, run)
    try:
        simulate(run_folder, images=images, listener=listener)
    except LesionFedError as error:
        log.error("%s has failed, the study goes on: %s", run.in_words, error)


def _report(folder: StudyFolder, run: PlannedRun, *, images: bool) -> None:
    try:
        write_report(folder.path / run.place, images=images)
    except Exception:  # a report that fails must not keep the tables from being written
        log.exception("%s: the report could not be written", run.in_words)


def _lay_out(folder: StudyFolder, plan: Plan, run: PlannedRun) -> None:
    """Makes the run's folder beside its place and moves it there whole."""
    sites = {name: plan.data[name] for name in run.trained_on}
    if run.method == "pooled":  # `without-NAME`: longer than NAME, so no other site is called so
        sites = {run.place.name: pool_sites(sites, folder.pooled_data(run))}
    partial = folder.path / run.place.parent / ".partial" / run.place.name
    shutil.rmtree(partial, ignore_errors=True)
    unseen = {name: plan.data[name] for name in run.tested_on}
    lay_out(RunFolder(partial), plan.recipe_of(run), sites=sites, unseen=unseen)
    partial.rename(folder.path / run.place)
    partial.parent.rmdir()


def _is_completed(folder: StudyFolder, run: PlannedRun) -> bool:
    return outcome_of(folder, run).failed is None


def _record(folder: StudyFolder, run: PlannedRun) -> RunRecord | None:
    """The run as its events tell it; None before its first whole event."""
    path = folder.run_folder(run).events_file
    if not path.exists() or b"\n" not in path.read_bytes():
        return None
    return read_run(path)


def _unwatched(_run: PlannedRun) -> AbstractContextManager[Listener | None]:
    return nullcontext()
