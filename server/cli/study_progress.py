"""A study of many runs in the terminal: which network, how many, the time left, what failed."""

from __future__ import annotations

import signal
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from common.cli.signals import on_end
from common.figures.page import wall_time
from server.cli import run_progress
from server.studies.plan import PlannedRun
from server.studies.run_results import outcome_of
from server.studies.run_study import Listener, run_study
from server.studies.study_folder import AnyStudy


def run_with_progress(folder: AnyStudy, *, images: bool, quiet: bool) -> None:
    """Executes the runs that are missing; says of each that begins how long the rest may take.

    images   whether each run's report holds pictures of its unseen cases
    quiet    nothing is shown
    """
    on_end(signal.default_int_handler)  # recorded as stopped, as Ctrl-C is
    runs = folder.plan().runs()

    @contextmanager
    def progress_of(run: PlannedRun) -> Iterator[Listener]:
        number = runs.index(run) + 1
        typer.echo(
            f"run {number} of {len(runs)}: {run.title}{_time_left(folder, runs, number)}", err=True
        )
        with run_progress.progress_of(folder.run_folder(run), quiet=False) as progress:
            yield progress

    run_study(folder, images=images, watch=None if quiet else progress_of)


def show_failed(runs: Sequence[Mapping[str, Any]]) -> None:
    """Prints each run without a result, and why."""
    for run in runs:
        if run["failed"] is not None:
            print(f"failed  {run['run']}: {run['failed']}")


def _time_left(folder: AnyStudy, runs: Sequence[PlannedRun], number: int) -> str:
    """How long the rest may take, by the mean of those that have ended."""
    ended = [outcome_of(folder, run) for run in runs[: number - 1]]
    walls_s = [o.wall_s for o in ended if o.failed is None and o.wall_s is not None]
    if not walls_s:
        return ""
    n_left = len(runs) - number + 1
    return f"; about {wall_time(statistics.fmean(walls_s) * n_left)} to go"
