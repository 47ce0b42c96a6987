"""What has happened in a run: the one reader of its events, for all who show or judge a run."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from common.errors import RunFolderError
from common.imaging.dataset.split import PARTS
from server.events import schema
from server.events.event_log import read_events
from server.events.lost_start import lost_start
from server.events.round_history import RoundHistory
from server.events.run_event import RoundEvent, RunEvent, SiteEvent
from server.events.site_history import SiteHistory
from server.events.site_limited import SiteLimited
from server.events.site_probed import SiteNotProbed, SiteProbed
from server.events.threshold_events import ThresholdChosen, ThresholdKept
from server.run.run_folder import RunFolder

Scored = tuple[str, schema.ScoredMethod, int]
"""Site, method and round."""

TRAINING_PHASES = ("training", "training-first", "training-second")
VALIDATION = "validation"
"""The phase of the exchange that a training round ends with where the sites choose the round: it
comes before the round's checkpoint."""
ASKED_ROLES = ("train", "statistics", "evaluate")
"""Of sites that messages are sent to; the coordinator's own held-out sites have others."""


@dataclass(slots=True)
class RunHistory:
    """A run, as far as its events go. `accept` takes them one at a time.

    start         the first event; None before it
    finished      None while the run continues, or where it was cut off
    current       the round under way or closed last; None where a resume made it void
    waiting       None unless a round waits for sites before it begins
    rounds        (phase, round) -> what happened, in the order they began
    void_rounds   rounds that a resume made void: they came after the checkpoint from which the run
                  went on, or were open when an older run, which does not name it, was cut off
    evaluations   (site, method, round) -> the last evaluation of it, which may be the verdict
    on_prepared_grid   the same, but for those on a scanner's grid: what the rounds compare by
    by_site       sites that messages are sent to
    announced     round or threshold -> whether the sites' own cases can choose it
    site_validations   training round -> the network on the cases that sites keep for validation
    subjects_changed   site -> how its subjects differ now from those it began the run with
    gaps          numbers of the lines that could not be read
    """

    start: schema.RunStarted | None = None
    last_time: datetime | None = None
    finished: schema.RunFinished | None = None
    n_resumed: int = 0
    current: RoundHistory | None = None
    waiting: schema.WaitingForSites | None = None
    rounds: dict[tuple[str, int], RoundHistory] = field(default_factory=dict)
    void_rounds: list[RoundHistory] = field(default_factory=list)
    checkpoints: list[schema.CheckpointSaved] = field(default_factory=list)
    damaged_checkpoints: list[str] = field(default_factory=list)
    by_site: dict[str, SiteHistory] = field(default_factory=dict)
    descriptions: dict[str, schema.SiteDescribed] = field(default_factory=dict)
    splits: dict[str, schema.SiteSplit] = field(default_factory=dict)
    template: schema.TemplateMade | None = None
    threshold: schema.BaselineTuned | None = None
    lesion_metric: schema.LesionMetricTrained | None = None
    decision_threshold: ThresholdChosen | ThresholdKept | None = None
    announced: dict[str, schema.ChoiceAnnounced] = field(default_factory=dict)
    site_validations: dict[int, schema.SitesValidated] = field(default_factory=dict)
    site_test: schema.SiteTest | None = None
    site_probe: SiteProbed | SiteNotProbed | None = None
    evaluations: dict[Scored, schema.Evaluated] = field(default_factory=dict)
    on_prepared_grid: dict[Scored, schema.Evaluated] = field(default_factory=dict)
    selections: list[schema.RoundSelected] = field(default_factory=list)
    subjects_changed: dict[str, schema.SubjectsChanged] = field(default_factory=dict)
    gaps: list[int] = field(default_factory=list)
    _records_states: bool = False

    @property
    def started(self) -> schema.RunStarted:
        """The first event; RunFolderError where there is none, which `read_run` has excluded."""
        if self.start is None:
            raise RunFolderError("the run has not begun: no `run-started` is recorded.")
        return self.start

    @property
    def selected(self) -> schema.RoundSelected | None:
        """The last selection that counts."""
        return self.selections[-1] if self.selections else None

    @property
    def checkpoint(self) -> schema.CheckpointSaved | None:
        """The last checkpoint that counts."""
        return self.checkpoints[-1] if self.checkpoints else None

    @property
    def wall_s(self) -> float | None:
        """From the first event to the last; None where the run was cut off in between."""
        if self.last_time is None or self.n_resumed:
            return None
        return (self.last_time - self.started.time).total_seconds()

    @property
    def training(self) -> list[RoundHistory]:
        """The training rounds, in order; those of a cascade's second network count on."""
        rounds: list[RoundHistory] = []
        for phase in TRAINING_PHASES:
            of_phase = [r for r in self.rounds.values() if r.phase == phase]
            before = rounds[-1].index if rounds else 0
            rounds += [
                dataclasses.replace(r, index=r.index + before)
                for r in sorted(of_phase, key=lambda r: r.index)
            ]
        return rounds

    @property
    def second_network_after(self) -> int | None:
        """The last training round of a cascade's first network; None before the second one's."""
        first = [r.index for r in self.rounds.values() if r.phase == TRAINING_PHASES[1]]
        second = any(r.phase == TRAINING_PHASES[2] for r in self.rounds.values())
        return max(first) if first and second else None

    @property
    def split_parts(self) -> list[str]:
        """Parts to which some training site assigned cases, in the order of their use."""
        named = {part for split in self.splits.values() for part in split.parts}
        return [part for part in PARTS if part in named]

    @property
    def failures(self) -> list[schema.SiteFailed]:
        """Every failure of a site in a round that counts, in the order of the rounds."""
        return [f for r in self.rounds.values() for f in r.failures.values()]

    @property
    def gap_warning(self) -> str | None:
        """A sentence on the lines that could not be read; None where all could."""
        if not self.gaps:
            return None
        lines = ", ".join(str(line) for line in self.gaps)
        return (
            f"events.jsonl is damaged: line {lines} cannot be read, and what was recorded there is "
            "missing here. Restore the file from a backup if there is one."
        )

    @property
    def limited(self) -> list[SiteLimited]:
        """Every update over a bound in a round that counts, in the order of the rounds."""
        return [one for r in self.rounds.values() for one in r.limited]

    def sites(self, role: str) -> list[str]:
        """Names of the sites with this role, in the order they were given."""
        return [site.name for site in self.started.sites if site.role == role]

    def evaluated_rounds(self, site: str) -> list[int]:
        """Rounds after which the network was scored at this held-out site, rising."""
        return sorted(
            r for name, method, r in self.evaluations if (name, method) == (site, "network")
        )

    def accept(self, event: RunEvent) -> None:
        """Adds the next event; kinds that are not known here change nothing but `last_time`."""
        self.last_time = event.time
        match event:
            case schema.RunStarted():
                self.start = event
                for site in event.sites:
                    if site.role in ASKED_ROLES:
                        self.by_site[site.name] = SiteHistory(name=site.name, role=site.role)
            case schema.RunResumed():
                self.n_resumed += 1
                self.finished = self.waiting = None
                self._make_void(event)
            case schema.RunFinished():
                self.finished, self.waiting = event, None
            case schema.WaitingForSites():
                self.waiting = event
            case schema.CheckpointSaved():
                self.checkpoints.append(event)
                of_round = self.rounds.get((event.phase, event.round))
                if of_round is not None and of_round.n_resumed == self.n_resumed:
                    of_round.saved = event.time
            case schema.CheckpointDamaged():
                self.damaged_checkpoints.append(event.file)
            case schema.RoundStarted() | schema.RoundFinished():
                self._accept_round(event)
            case schema.HeadMeasured():
                self._round(event).head_spread_all = event.head_spread_all
                self._round(event).n_head_outputs = event.n_outputs
            case SiteEvent():
                self._accept_site(event)
            case _:
                self._accept_result(event)

    def _accept_round(self, event: schema.RoundStarted | schema.RoundFinished) -> None:
        of_round = self._round(event)
        if isinstance(event, schema.RoundFinished):
            of_round.replies_s, of_round.finished = event.wall_s, event.time
            return
        self.waiting = None
        self.current = RoundHistory(
            event.phase,
            event.round,
            n_resumed=self.n_resumed,
            started=of_round.started or event.time,  # the next exchange of a round that has several
            sites=event.sites,
        )
        self.rounds[event.phase, event.round] = self.current
        if not self._records_states:
            for name in event.sites:
                self._site(name).state = "training"

    def _accept_site(self, event: SiteEvent) -> None:
        if isinstance(event, schema.SiteReplied):
            self._round(event).replies[event.site] = event
        elif isinstance(event, schema.SiteFailed):
            self._round(event).failures[event.site] = event
        elif isinstance(event, SiteLimited):
            self._round(event).limited.append(event)
        elif isinstance(event, schema.SiteStateChanged):
            self._records_states = True
        elif isinstance(event, schema.SubjectsChanged):
            self.subjects_changed[event.site] = event
        self._site(event.site).accept(event, derives_state=not self._records_states)

    def _accept_result(self, event: RunEvent) -> None:
        match event:
            case schema.SiteDescribed():
                self.descriptions[event.site] = event
            case schema.SiteSplit():
                self.splits[event.site] = event
            case schema.TemplateMade():
                self.template = event
            case schema.BaselineTuned():
                self.threshold = event
            case schema.LesionMetricTrained():
                self.lesion_metric = event
            case ThresholdChosen() | ThresholdKept():
                self.decision_threshold = event
            case schema.ChoiceAnnounced():
                self.announced[event.choice] = event
            case schema.SitesValidated():
                self.site_validations[event.round] = event
            case schema.SiteTest():
                self.site_test = event
            case SiteProbed() | SiteNotProbed():
                self.site_probe = event
            case schema.Evaluated():
                self.evaluations[event.site, event.method, event.round] = event
                if all(row.grid == "prepared" for row in event.cases):
                    self.on_prepared_grid[event.site, event.method, event.round] = event
            case schema.RoundSelected():
                self.selections.append(event)

    def _make_void(self, resumed: schema.RunResumed) -> None:
        """Takes off the rounds after the checkpoint, their scores and choices.

        Those of a round that counts stay, also where they came after it: they will be the same
        again.
        """
        keys = list(self.rounds)
        if resumed.phase is None:
            void = [key for key in keys if self.rounds[key].finished is None]
        else:
            last = (resumed.phase, resumed.round)
            if last in self.rounds:
                n_valid = keys.index(last) + 1
                n_valid += keys[n_valid : n_valid + 1] == [(VALIDATION, resumed.round)]
            elif resumed.phase:  # none of the phase's rounds counts
                n_valid = next((i for i, key in enumerate(keys) if key[0] == last[0]), len(keys))
            else:
                n_valid = 0
            void = keys[n_valid:]
            for scored in [key for key in self.evaluations if key[2] > resumed.training_round]:
                del self.evaluations[scored]
                self.on_prepared_grid.pop(scored, None)
            for late in [r for r in self.site_validations if r > resumed.training_round]:
                del self.site_validations[late]
            self.selections = [s for s in self.selections if s.round <= resumed.training_round]
            while (saved := self.checkpoint) and (saved.phase, saved.round) != last:
                self.checkpoints.pop()
        self.void_rounds += [self.rounds.pop(key) for key in void]
        if self.current is not None and (self.current.phase, self.current.index) in void:
            self.current = None

    def _round(self, event: RoundEvent) -> RoundHistory:
        """The round of this process; a new one where its beginning is lost."""
        key = (event.phase, event.round)
        if key not in self.rounds or self.rounds[key].n_resumed != self.n_resumed:
            self.rounds[key] = RoundHistory(*key, n_resumed=self.n_resumed)
        return self.rounds[key]

    def _site(self, name: str) -> SiteHistory:
        return self.by_site.setdefault(name, SiteHistory(name=name, role="train"))


def read_history(events_file: Path) -> RunHistory:
    """The run until now, whether it has begun or not; an empty history where there is no file.

    Kinds of event that are not known here are passed over, and so is a last line without its end:
    the run may be writing it. RunFolderError where a line does not fit its kind, or is of another
    run.
    """
    history = RunHistory()
    for event in read_events(events_file, on_gap=history.gaps.append):
        if isinstance(event, schema.RunStarted) and history.start is not None:
            raise RunFolderError(
                f"{events_file}: run {event.run!r} starts in the events of run "
                f"{history.start.run!r}. One folder holds one run: give each its own --out."
            )
        history.accept(event)
    return history


def _begin_without_start(history: RunHistory, events_file: Path, first_time: datetime) -> bool:
    """Whether the first event, which is lost, could be made up for by the rest of the folder."""
    start = lost_start(RunFolder(events_file.parent), first_time=first_time)
    if start is None:
        return False
    history.start = start
    for site in start.sites:
        if site.role in ASKED_ROLES:
            history.by_site.setdefault(site.name, SiteHistory(name=site.name, role=site.role))
            history.by_site[site.name].role = site.role
    if 1 not in history.gaps:
        history.gaps.insert(0, 1)
    return True


def read_run(events_file: Path) -> RunHistory:
    """The history of a run that has begun; RunFolderError where it has not.

    Where `run-started` is lost, recipe.toml and consortium.toml beside it say the same.
    """
    history = read_history(events_file)
    if history.start is not None:
        return history
    if not events_file.exists():
        raise RunFolderError(
            f"{events_file}: want the events of a run, but there is no such file. Give the folder "
            "that `lesionfed simulate --out` named."
        )
    first = next(iter(read_events(events_file)), None)
    if first is not None and _begin_without_start(history, events_file, first.time):
        return history
    kind = "none" if first is None else first.event
    raise RunFolderError(
        f"{events_file}: want `run-started` as the first event, found {kind}. Is this the folder "
        "of a run that has started?"
    )
