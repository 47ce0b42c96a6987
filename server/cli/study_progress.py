"""The progress of a study of many runs: which network, how many, how long yet."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer

from common.figures.page import wall_time
from server.cli.run_progress import RunProgress
from server.run.run_folder import RunFolder
from server.studies.many_runs import Listener, OneRun, outcome_at


class StudyProgress:
    """Says which run of how many begins and how long the rest may take, then shows the run's own.

    study   the folder that the runs lie in
    runs    all of them, in their order
    quiet   nothing is shown
    """

    def __init__(self, study: Path, runs: Sequence[OneRun], *, quiet: bool) -> None:
        self._study = study
        self._runs = runs
        self._quiet = quiet

    @contextmanager
    def __call__(self, run: OneRun) -> Iterator[Listener | None]:
        """The listener of one run."""
        if self._quiet:
            yield None
            return
        place = self._runs.index(run) + 1
        typer.echo(
            f"run {place} of {len(self._runs)}: {run.in_words}{self._to_go(place)}", err=True
        )
        folder = RunFolder(self._study / run.place)
        with RunProgress(
            n_rounds=folder.recipe().n_training_rounds,
            n_sites=sum(site.trains for site in folder.consortium().sites),
            quiet=False,
        ) as progress:
            yield progress

    def _to_go(self, place: int) -> str:
        """How long the rest may take, by the mean of those that have ended."""
        ended = [outcome_at(self._study / run.place) for run in self._runs[: place - 1]]
        walls_s = [o.wall_s for o in ended if o.failed is None and o.wall_s is not None]
        if not walls_s:
            return ""
        n_left = len(self._runs) - place + 1
        return f"; about {wall_time(statistics.fmean(walls_s) * n_left)} to go"
