"""A run's progress in the terminal, from its events."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from server.events.event_log import Event
from server.events.history import TRAINING_PHASES


class RunProgress:
    """A bar over all replies of all training rounds, and a word on what goes on now.

    n_rounds   training rounds in all, of both networks in a cascade
    n_sites    sites that train
    quiet      nothing is shown
    """

    def __init__(self, *, n_rounds: int, n_sites: int, quiet: bool) -> None:
        self._n_rounds = n_rounds
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=quiet,
        )
        self._task = self._progress.add_task("starting", total=n_rounds * n_sites)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def __call__(self, event: Event) -> None:
        """Takes one event in."""
        match event:
            case {"event": "round-started", "phase": "training-second", "round": index}:
                self._say(f"training, round {self._n_rounds // 2 + index} of {self._n_rounds}")
            case {"event": "round-started", "phase": str(phase), "round": index} if (
                phase in TRAINING_PHASES
            ):
                self._say(f"training, round {index} of {self._n_rounds}")
            case {"event": "lesion-metric-step", "step": step, "n_steps": n_steps}:
                self._say(f"the lesion metric learns, step {step} of {n_steps}")
            case {"event": "lesion-metric", "mae": error, "spearman": correlation}:
                self._progress.console.print(
                    f"lesion metric: mean absolute error {shown(error)}, rank correlation "
                    f"{shown(correlation)} on held-out pairs"
                )
                if not event.get("accepted", True):
                    self._progress.console.print(
                        "warning: the lesion metric misses its aims (0.06, 0.95); give it more "
                        "loss.lesion_wise.n_pairs and steps"
                    )
            case {"event": "round-started", "phase": phase}:
                self._say(f"{phase}: reading every site's cases")
            case {"event": "round-finished", "phase": str(phase)} if phase in TRAINING_PHASES:
                self._say("scoring the held-out sites")
            case {"event": "reply", "phase": str(phase)} if phase in TRAINING_PHASES:
                self._progress.advance(self._task)
            case {"event": "site-failed", "site": site, "error": error, "code": code}:
                self._progress.console.print(f"site {site} failed: {error} ({code})")
            case {"event": "evaluated", "method": "network", "site": site, "round": index}:
                dice = mean_of(event, "dice")
                self._progress.console.print(f"round {index}: {site} Dice {shown(dice)}")

    def _say(self, text: str) -> None:
        self._progress.update(self._task, description=text)


def mean_of(event: Event, metric: str) -> float | None:
    """Mean of one metric over an evaluation's cases, undefined ones left out."""
    values = [case[metric] for case in event["cases"] if case.get(metric) is not None]
    return sum(values) / len(values) if values else None


def shown(value: float | None) -> str:
    """Three digits, or a dash where undefined."""
    return "-" if value is None else f"{value:.3f}"
