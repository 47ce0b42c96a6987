"""A run's progress in the terminal, from its events."""

from __future__ import annotations

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

from server.events.event_text import announced_in_words
from server.events.history import TRAINING_PHASES, RunHistory, read_history
from server.events.lesion_metric_warnings import missed_aims, warnings_of_round
from server.events.round_history import RoundHistory
from server.events.run_event import RunEvent
from server.events.schema import (
    ChoiceAnnounced,
    Evaluated,
    LesionMetricStep,
    LesionMetricTrained,
    RoundFinished,
    RoundStarted,
    RunResumed,
    SiteFailed,
    SiteReplied,
)
from server.events.site_limited import SiteLimited
from server.run.run_folder import RunFolder


class RunProgress:
    """A bar over all replies of all training rounds, and what the run does now.

    n_rounds   training rounds in all, of both networks in a cascade
    n_sites    sites that train
    history    what was recorded before: the replies of a run that is resumed fill the bar already
    quiet      nothing is shown
    """

    def __init__(self, *, n_rounds: int, n_sites: int, history: RunHistory, quiet: bool) -> None:
        self._n_rounds = n_rounds
        self.history = history
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

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, event: RunEvent) -> None:
        """Shows what one more event changes."""
        self.history.accept(event)
        match event:
            case RunResumed():
                self._progress.update(self._task, completed=self.n_replies)
            case RoundStarted(phase=phase, round=index) if phase in TRAINING_PHASES:
                before = self._n_rounds // 2 if phase == "training-second" else 0
                self._say(f"training, round {before + index} of {self._n_rounds}")
            case RoundStarted():
                self._say(f"{event.phase}: reading every site's cases")
            case RoundFinished() if event.phase in TRAINING_PHASES:
                self._say("scoring the held-out sites")
                self._print_lesion_metric(self.history.rounds.get((event.phase, event.round)))
            case SiteReplied() if event.phase in TRAINING_PHASES:
                self._progress.update(self._task, completed=self.n_replies)
            case SiteFailed():
                self._print(f"site {event.site} failed: {event.error} ({event.code})")
            case SiteLimited():
                self._print(f"site {event.in_words}")
            case Evaluated(method="network", site=site):
                dice = [row.metric("dice") for row in event.cases]
                defined = [value for value in dice if value is not None]
                mean = sum(defined) / len(defined) if defined else None
                self._print(f"round {event.round}: {site} Dice {shown(mean)}")
            case ChoiceAnnounced():
                self._print(announced_in_words(event))
            case LesionMetricStep():
                self._say(f"the lesion metric learns, step {event.step} of {event.n_steps}")
            case LesionMetricTrained():
                self._print(
                    f"lesion metric: mean absolute error {shown(event.mae)}, rank correlation "
                    f"{shown(event.spearman)} on held-out pairs"
                )
                if not event.accepted:
                    self._print(
                        f"warning: {missed_aims(event)}; give it more loss.lesion_wise.n_pairs "
                        "and steps"
                    )

    @property
    def n_replies(self) -> int:
        """Replies in all training rounds that count."""
        rounds = self.history.rounds.values()
        return sum(len(r.replies) for r in rounds if r.phase in TRAINING_PHASES)

    def _print_lesion_metric(self, of: RoundHistory | None) -> None:
        """The learned lesion metric's estimate beside the truth, in a round that used it."""
        if of is None or of.lesion_f1_of_patches is None:
            return
        estimated, true = of.lesion_f1_of_patches
        self._print(
            f"round {of.index}: lesion F1 of the training patches {shown(true)}, estimated by the "
            f"lesion metric {shown(estimated)} (means over the sites)"
        )
        for warning in warnings_of_round(self.history, of):
            self._print(f"warning: {warning}")

    def _print(self, text: str) -> None:
        self._progress.console.print(text)

    def _say(self, text: str) -> None:
        self._progress.update(self._task, description=text)


def progress_of(folder: RunFolder, *, quiet: bool) -> RunProgress:
    """The progress of the run in `folder`, which may have begun before."""
    return RunProgress(
        n_rounds=folder.recipe().n_training_rounds,
        n_sites=sum(site.trains for site in folder.consortium().sites),
        history=read_history(folder.events_file),
        quiet=quiet,
    )


def shown(value: float | None) -> str:
    """Three digits, or a dash where undefined."""
    return "-" if value is None else f"{value:.3f}"
