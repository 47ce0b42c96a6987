"""A run as its events tell it, in order of meaning instead of time."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AliasChoices,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    InstanceOf,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from common.errors import RunFolderError
from common.imaging.dataset.split import PARTS
from common.imaging.standardization.nyul import PERCENTILES
from server.evaluation.case_row import CaseRow, Value

Method = Literal["network", "baseline"]

TRAINING_PHASES = ("training", "training-first", "training-second")
MOST_DRIFT = 0.3
"""Of the learned lesion metric from true lesion F1, before it is warned of (chosen)."""


class Recorded(BaseModel):
    """Base of what is read here; keys it does not know are for other readers."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Event(Recorded):
    """One line of events.jsonl."""

    time: AwareDatetime


class NamedSite(Recorded):
    """A site and its part in the run: train, statistics, validation or unseen."""

    name: str
    role: str


class RunStarted(Event):
    """The first event of a run."""

    event: Literal["run-started"]
    run: str
    engine: str
    recipe_name: str
    recipe_sha256: str
    code_digest: str
    sites: tuple[NamedSite, ...]


class RunResumed(Event):
    """The run was cut off and went on from its checkpoint.

    phase, round     the last round that counts; rounds after it are held again. Older runs do not
                     tell
    training_round   training rounds that count, in the whole run
    """

    event: Literal["run-resumed"]
    phase: str | None = None
    round: int = 0
    training_round: int = 0


class SiteDescribed(Event):
    """What a site has. n_findings: level of finding -> how many."""

    event: Literal["site-described"]
    site: str
    n_cases: int
    n_quarantined: int
    n_controls: int | None = None
    lesion_volume_ml: Value = None
    n_findings: dict[str, int]


class SitePart(Recorded):
    """What one part of a site's split holds; n_cases: with and without lesions."""

    n_subjects: int
    n_cases: int
    n_lesions: int
    lesion_volume_ml: float


class SiteSplit(Event):
    """How a training site dealt its cases. parts: such as training or test -> what it holds."""

    event: Literal["site-split"]
    site: str
    parts: dict[str, SitePart]


class TemplateMade(Event):
    """The consortium's template: modality -> landmarks, rising.

    method      two-step: 3 relative class centres; nyul: 13 landmarks on a scale from 0 to 100
    landmarks   `centres` in older runs
    """

    event: Literal["template"]
    method: Literal["two-step", "nyul"] = "two-step"
    landmarks: dict[str, tuple[float, ...]] = Field(
        validation_alias=AliasChoices("landmarks", "centres")
    )
    n_subjects: int | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """What each landmark is, in words."""
        if self.method == "nyul":
            return tuple(f"percentile {percentile}" for percentile in PERCENTILES)
        return "darkest class", "middle class", "brightest class"


class RoundStarted(Event):
    """A round was sent to these sites."""

    event: Literal["round-started"]
    phase: str
    round: int
    sites: tuple[str, ...]


class Reply(Event):
    """One site's usable answer. facts: what the phase has to say, by name."""

    event: Literal["reply"]
    phase: str
    round: int
    site: str
    wall_s: Value = None
    size_bytes: int | None = None
    facts: dict[str, Any] = {}

    def fact(self, name: str) -> Value:
        """The number called `name`, or None where it is absent, undefined or no number."""
        value = self.facts.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return float(value)


class SiteFailed(Event):
    """A site that was asked and sent nothing usable."""

    event: Literal["site-failed"]
    phase: str
    round: int
    site: str
    error: str
    code: str


class RoundFinished(Event):
    """A round has its aggregate."""

    event: Literal["round-finished"]
    phase: str
    round: int
    wall_s: Value = None
    n_replies: int


class BaselineTuned(Event):
    """The intensity threshold that does best at the training sites, in standard deviations."""

    event: Literal["baseline-threshold"]
    modality: str
    threshold_z: float
    mean_dice: Value = None


class LesionMetric(Event):
    """The network that learned lesion F1, on pairs of masks that it was not trained on.

    mae, bias, spearman   of its estimates beside the true values
    accepted              whether they meet the aims; a warning if not
    """

    event: Literal["lesion-metric"]
    n_pairs: int
    mae: float
    bias: float
    spearman: Value = None
    accepted: bool = True


class ThresholdChosen(Event):
    """The decision threshold chosen on cases that no network was trained on, and its sweep.

    by           dice or lesion_f1: which mean is the highest at `threshold`
    split        whose cases were swept, in words
    thresholds   the grid, rising; a mean of each kind for each
    """

    event: Literal["threshold-chosen"]
    threshold: float
    by: Literal["dice", "lesion_f1"]
    split: str
    n_cases: int
    thresholds: tuple[float, ...]
    mean_dice: tuple[float, ...]
    mean_lesion_f1: tuple[float, ...]


class ThresholdKept(Event):
    """No site had a case to choose a decision threshold on: the recipe's own stays."""

    event: Literal["threshold-kept"]
    threshold: float
    reason: str


class SiteTest(Event):
    """The model on the cases that training sites kept for a test; means over the cases.

    n_dice, n_lesion_f1   cases in which the figure is defined; older runs do not tell
    """

    event: Literal["site-test"]
    threshold: float
    n_cases: int
    n_dice: int | None = None
    n_lesion_f1: int | None = None
    mean_dice: Value = None
    mean_lesion_f1: Value = None


class Evaluated(Event):
    """One held-out site, scored case by case; round 0 is before training."""

    event: Literal["evaluated"]
    round: int
    site: str
    role: str
    method: Method
    cases: tuple[InstanceOf[CaseRow], ...]

    @field_validator("cases", mode="before")
    @classmethod
    def _rows(cls, rows: object, info: ValidationInfo) -> tuple[CaseRow, ...]:
        """The rows as case rows; those of older runs do not name their site, the event does."""
        if not isinstance(rows, Sequence) or not all(_has_subject(row) for row in rows):
            raise ValueError("want a list of cases, each with its subject")
        site = info.data.get("site", "")
        return tuple(CaseRow.from_dict({"site": site, **row}) for row in rows)


def _has_subject(row: object) -> bool:
    return isinstance(row, Mapping) and "subject" in row


class Selected(Event):
    """The round whose parameters are the result, and what chose it."""

    event: Literal["selected"]
    round: int
    by: str


class RunFinished(Event):
    """The end of a run."""

    event: Literal["run-finished"]
    status: Literal["completed", "stopped", "failed"]
    reason: str | None = None


Known = (
    RunStarted
    | RunResumed
    | SiteDescribed
    | SiteSplit
    | TemplateMade
    | RoundStarted
    | Reply
    | SiteFailed
    | RoundFinished
    | BaselineTuned
    | LesionMetric
    | ThresholdChosen
    | ThresholdKept
    | SiteTest
    | Evaluated
    | Selected
    | RunFinished
)
_KNOWN: TypeAdapter[Known] = TypeAdapter(Annotated[Known, Field(discriminator="event")])
_UNKNOWN_KIND = "union_tag_invalid"


@dataclass(slots=True)
class Round:
    """One round of one phase; a round that was held again after a cut keeps its last run."""

    phase: str
    index: int
    sites: tuple[str, ...] = ()
    replies: dict[str, Reply] = field(default_factory=dict)
    failures: dict[str, SiteFailed] = field(default_factory=dict)
    wall_s: Value = None
    is_finished: bool = False

    @property
    def n_wanted(self) -> int:
        """Sites that should have replied: those that were asked, and those that were not there."""
        return len({*self.sites, *self.replies, *self.failures})

    @property
    def received_bytes(self) -> int | None:
        """Size of all replies; None where none said its own."""
        sizes = [r.size_bytes for r in self.replies.values() if r.size_bytes is not None]
        return sum(sizes) if sizes else None

    @property
    def n_negatives(self) -> int | None:
        """Hard negatives that a cascade's sites found, in voxels; None in other rounds."""
        counts = [r.fact("n_negatives") for r in self.replies.values()]
        told = [int(count) for count in counts if count is not None]
        return sum(told) if told else None

    @property
    def lesion_metric_drifts(self) -> bool:
        """Whether the learned lesion metric is further from the truth than MOST_DRIFT at a site."""
        told = [
            (r.fact("estimated_lesion_f1"), r.fact("true_lesion_f1")) for r in self.replies.values()
        ]
        return any(
            estimated is not None and true is not None and abs(estimated - true) > MOST_DRIFT
            for estimated, true in told
        )


@dataclass(slots=True)
class RunRecord:
    """A run, as far as its events go.

    rounds        (phase, round) -> what happened, in the order they began
    evaluations   (site, method, round) -> the last evaluation of it
    finished      None while the run goes on, or where it was cut off
    """

    started: RunStarted
    last_time: datetime
    n_resumed: int = 0
    descriptions: dict[str, SiteDescribed] = field(default_factory=dict)
    splits: dict[str, SiteSplit] = field(default_factory=dict)
    template: TemplateMade | None = None
    rounds: dict[tuple[str, int], Round] = field(default_factory=dict)
    threshold: BaselineTuned | None = None
    lesion_metric: LesionMetric | None = None
    decision_threshold: ThresholdChosen | ThresholdKept | None = None
    site_test: SiteTest | None = None
    evaluations: dict[tuple[str, Method, int], Evaluated] = field(default_factory=dict)
    selected: Selected | None = None
    finished: RunFinished | None = None

    @property
    def training(self) -> list[Round]:
        """The training rounds, in order; those of a cascade's second network count on."""
        rounds: list[Round] = []
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
        """Parts that some training site dealt cases to, in the order of their use."""
        told = {part for split in self.splits.values() for part in split.parts}
        return [part for part in PARTS if part in told]

    @property
    def failures(self) -> list[SiteFailed]:
        """Every failure of a site, in the order of the rounds."""
        return [f for r in self.rounds.values() for f in r.failures.values()]

    def sites(self, role: str) -> list[str]:
        """Names of the sites with this role, in the order they were given."""
        return [site.name for site in self.started.sites if site.role == role]

    def evaluated_rounds(self, site: str) -> list[int]:
        """Rounds after which the network was scored at this held-out site, rising."""
        return sorted(
            r for name, method, r in self.evaluations if (name, method) == (site, "network")
        )


def read_run(events_file: Path) -> RunRecord:
    """The run that `events_file` tells of; RunFolderError when it does not tell of one.

    Kinds of event that are not known here are passed over, and so is a last line without its end:
    the run may be writing it. NaN and infinity read as undefined.
    """
    events = _events(events_file)
    first = next(events, None)
    if not isinstance(first, RunStarted):
        raise RunFolderError(
            f"{events_file}: want `run-started` as the first event, found "
            f"{first.event if first else 'none'}. Is this the folder of a run that has started?"
        )
    record = RunRecord(started=first, last_time=first.time)
    for event in events:
        record.last_time = event.time
        _add(record, event)
    return record


def _events(path: Path) -> Iterator[Known]:
    try:
        *lines, _unfinished = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise RunFolderError(
            f"{path}: want the events of a run, but it cannot be read ({type(error).__name__}). "
            "Give the folder that `lesionfed simulate --out` named."
        ) from None
    for i, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield _KNOWN.validate_python(json.loads(line, parse_constant=lambda _: None))
        except ValidationError as error:
            fault = error.errors()[0]
            if fault["type"] == _UNKNOWN_KIND:
                continue
            key = ".".join(str(part) for part in fault["loc"])
            raise RunFolderError(f"{path}, line {i}: {key}: {fault['msg']}") from None
        except json.JSONDecodeError as error:
            raise RunFolderError(f"{path}, line {i}: not JSON: {error.msg}") from None


def _add(record: RunRecord, event: Known) -> None:
    match event:
        case RunResumed():
            record.n_resumed += 1
            record.finished = None
            if event.phase is not None:
                _drop_what_is_held_again(record, event.phase, event)
        case SiteDescribed():
            record.descriptions[event.site] = event
        case SiteSplit():
            record.splits[event.site] = event
        case TemplateMade():
            record.template = event
        case RoundStarted():
            key = (event.phase, event.round)
            record.rounds[key] = Round(event.phase, event.round, sites=event.sites)
        case Reply():
            _round(record, event).replies[event.site] = event
        case SiteFailed():
            _round(record, event).failures[event.site] = event
        case RoundFinished():
            _round(record, event).wall_s = event.wall_s
            _round(record, event).is_finished = True
        case BaselineTuned():
            record.threshold = event
        case LesionMetric():
            record.lesion_metric = event
        case ThresholdChosen() | ThresholdKept():
            record.decision_threshold = event
        case SiteTest():
            record.site_test = event
        case Evaluated():
            record.evaluations[event.site, event.method, event.round] = event
        case Selected():
            record.selected = event
        case RunFinished():
            record.finished = event
        case RunStarted():
            raise RunFolderError(
                f"run {event.run!r} starts in the events of run {record.started.run!r}. "
                "One folder holds one run: give each its own --out."
            )


def _drop_what_is_held_again(record: RunRecord, phase: str, resumed: RunResumed) -> None:
    """Takes off what was heard of rounds that the checkpoint does not hold: they do not count."""
    keys = list(record.rounds)
    n_kept = 0
    if (phase, resumed.round) in record.rounds:
        n_kept = keys.index((phase, resumed.round)) + 1
    elif phase:  # none of the phase's rounds counts
        n_kept = next((i for i, key in enumerate(keys) if key[0] == phase), len(keys))
    for key in keys[n_kept:]:
        del record.rounds[key]
    for judged in [key for key in record.evaluations if key[2] > resumed.training_round]:
        del record.evaluations[judged]


def _round(record: RunRecord, event: Reply | SiteFailed | RoundFinished) -> Round:
    key = (event.phase, event.round)
    return record.rounds.setdefault(key, Round(event.phase, event.round))
