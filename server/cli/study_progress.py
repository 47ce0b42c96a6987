"""A leave-site-out study's progress in the terminal: which network, how many, how long yet."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from common.figures.page import wall_time
from server.cli.run_progress import RunProgress
from server.leave_site_out.plan import PlannedRun
from server.leave_site_out.run import Listener, outcome_of
from server.leave_site_out.study_folder import StudyFolder


class StudyProgress:
    """Says which run of how many begins and how long the rest may take, then shows the run's own.

    quiet   nothing is shown
    """

    def __init__(self, folder: StudyFolder, *, quiet: bool) -> None:
        self._folder = folder
        self._quiet = quiet

    @contextmanager
    def __call__(self, run: PlannedRun) -> Iterator[Listener | None]:
        """The listener of one run."""
        if self._quiet:
            yield None
            return
        plan = self._folder.plan()
        runs = plan.runs()
        place = runs.index(run) + 1
        typer.echo(
            f"run {place} of {len(runs)}: {run.in_words}{self._to_go(runs, place)}", err=True
        )
        with RunProgress(
            n_rounds=plan.recipe.federation.rounds,
            n_sites=len(run.trained_on) if run.method == "federated" else 1,
            quiet=False,
        ) as progress:
            yield progress

    def _to_go(self, runs: list[PlannedRun], place: int) -> str:
        """How long the rest may take: every network takes as many steps as any other."""
        ended = [outcome_of(self._folder, run) for run in runs[: place - 1]]
        walls_s = [o.wall_s for o in ended if o.failed is None and o.wall_s is not None]
        if not walls_s:
            return ""
        n_left = len(runs) - place + 1
        return f"; about {wall_time(statistics.fmean(walls_s) * n_left)} to go"
