"""The runs of a study, one after another: what is finished is kept, what was cut off is resumed."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from common.code_digest import code_digest
from common.errors import LesionFedError, RunFolderError
from server.events.run_event import RunEvent
from server.report.render import write_report
from server.run.data_record import read_record
from server.run.run_folder import RunFolder
from server.simulate import simulate
from server.studies.plan import PlannedRun, StudyPlan
from server.studies.run_results import outcome_of
from server.studies.study_folder import AnyStudy

log = logging.getLogger(__name__)

Listener = Callable[[RunEvent], None]
Watch = Callable[[PlannedRun], AbstractContextManager[Listener | None]]
"""Entered for each run that is executed now; what it gives hears the run's events."""


def run_study(folder: AnyStudy, *, images: bool = False, watch: Watch | None = None) -> None:
    """Trains and evaluates the network of every run that is not completed yet.

    images   whether each run draws its unseen cases, and its report shows them
    watch    such as a progress display

    A run that was cut off, at whatever point, continues from its checkpoint; one that failed is
    tried again. A run that fails by an error of ours leaves its reason in its folder, and the next
    one begins. RunFolderError where networks are missing and the code is not that of the plan.
    """
    plan: StudyPlan = folder.plan()
    missing = [run for run in plan.runs() if outcome_of(folder, run).failed is not None]
    if missing and plan.code_digest != code_digest():
        raise RunFolderError(
            f"{folder.path}: LesionFed's own code has changed since this study began, and "
            f"{len(missing)} networks are missing: two versions do not share a table. Put the code "
            "back as it was, or start a new study with another --out."
        )
    for run in plan.runs():
        run_folder = folder.run_folder(run)
        if run in missing:
            if not run_folder.path.is_dir():
                _lay_out_whole(folder, plan, run)
            with watch(run) if watch is not None else nullcontext() as listener:
                _execute(run_folder, run, images=images, listener=listener)
        elif not (run_folder.path / "report.html").exists():  # cut off just before it
            _report(run_folder, run, images=images)


def _execute(
    run_folder: RunFolder, run: PlannedRun, *, images: bool, listener: Listener | None
) -> None:
    try:
        simulate(run_folder, images=images, listener=listener)
    except LesionFedError as error:
        log.error("%s has failed, the study continues: %s", run.title, error)


def _report(run_folder: RunFolder, run: PlannedRun, *, images: bool) -> None:
    try:
        write_report(run_folder.path, images=images)
    except Exception:  # a report that fails must not keep the tables from being written
        log.exception("%s: the report could not be written", run.title)


def _lay_out_whole(folder: AnyStudy, plan: StudyPlan, run: PlannedRun) -> None:
    """Makes the run's folder beside its place and moves it there whole."""
    partial = folder.path / run.place.parent / ".partial" / run.place.name
    shutil.rmtree(partial, ignore_errors=True)
    record = read_record(folder.data_record_file)
    known = () if record is None else record.places
    plan.lay_out(run, RunFolder(partial), study=folder.path, known=known)
    partial.rename(folder.path / run.place)
    partial.parent.rmdir()
