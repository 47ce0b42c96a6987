"""The events of a run: one frozen class each, by which events.jsonl is written and read.

Those of the site probe are in `site_probed.py`, that of a site whose update was over a bound in
`site_limited.py`.

A field with a default is one that older runs do not have. Keys that a class does not know are
passed over, and an event of a kind that is not known is an `UnknownEvent`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import (
    AliasChoices,
    Field,
    InstanceOf,
    ValidationInfo,
    field_serializer,
    field_validator,
)

from common.imaging.standardization.nyul import PERCENTILES
from server.evaluation.case_row import CaseRow, Value
from server.events.run_event import Moment, Recorded, RoundEvent, RunEvent, SiteEvent
from server.run.site_state import SiteState

ScoredMethod = Literal["network", "baseline"]
LAST_ROUND = "the last round"
"""What a round is selected by where nothing can choose it."""
RunEnd = Literal["completed", "stopped", "failed"]


class SiteRole(Recorded):
    """A site and its role in the run: train, statistics, evaluate, validation or unseen."""

    name: str
    role: str


class RunStarted(RunEvent):
    """The first event of a run. labels_are_local: equal labels at two sites are two people."""

    event: Literal["run-started"] = "run-started"
    run: str
    engine: str
    recipe_name: str
    recipe_sha256: str
    code_digest: str
    sites: tuple[SiteRole, ...]
    labels_are_local: bool = False


class RunResumed(RunEvent):
    """The run was cut off and went on from its checkpoint.

    run to sites     as in `RunStarted`
    phase, round     of that checkpoint: what came after it is void and done again. None in older
                     runs; an empty phase where the run began again from nothing
    training_round   training rounds that count, in the whole run
    """

    event: Literal["run-resumed"] = "run-resumed"
    run: str | None = None
    engine: str | None = None
    recipe_name: str | None = None
    recipe_sha256: str | None = None
    code_digest: str | None = None
    sites: tuple[SiteRole, ...] = ()
    phase: str | None = None
    round: int = 0
    training_round: int = 0


class RunFinished(RunEvent):
    """The end of a run, or of this attempt at it: a run that was stopped or failed can resume."""

    event: Literal["run-finished"] = "run-finished"
    status: RunEnd
    reason: str | None = None


class CheckpointSaved(RoundEvent):
    """The state after a round is on disk; again once the held-out sites were scored after it."""

    event: Literal["checkpoint"] = "checkpoint"
    file: str


class CheckpointDamaged(RunEvent):
    """A checkpoint could not be read when the run was resumed; the one before it was used."""

    event: Literal["checkpoint-damaged"] = "checkpoint-damaged"
    file: str


class WaitingForSites(RunEvent):
    """The round does not begin before these sites are online, or the time is over.

    sites        `for` on disk
    have, need   sites that are online, and the quorum
    """

    event: Literal["waiting"] = "waiting"
    phase: str | None = None
    round: int | None = None
    sites: tuple[str, ...] = Field(
        validation_alias=AliasChoices("for", "sites"), serialization_alias="for"
    )
    until: Moment
    have: int
    need: int

    @field_serializer("until")
    def _whole_seconds(self, until: datetime) -> str:
        return until.isoformat(timespec="seconds")


class RoundStarted(RoundEvent):
    """A round was sent to these sites."""

    event: Literal["round-started"] = "round-started"
    sites: tuple[str, ...]


class RoundFinished(RoundEvent):
    """A round has its aggregate. wall_s: from the requests to the last reply it waited for."""

    event: Literal["round-finished"] = "round-finished"
    wall_s: Value = None
    n_replies: int


class SiteReplied(SiteEvent):
    """One site's usable answer. facts: what the phase has to say of it, by name."""

    event: Literal["reply"] = "reply"
    wall_s: Value = None
    size_bytes: int | None = None
    facts: dict[str, Any] = Field(default_factory=dict)

    def fact(self, name: str) -> Value:
        """The number called `name`, or None where it is absent, undefined or no number."""
        value = self.facts.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return float(value)


class HeadMeasured(RoundEvent):
    """The site head that a round began with, on patches of all sites that answered.

    head_spread_all   standard deviation of its answer over all of them, mean over the sites; about
                      0: it gives every image the same answer
    """

    event: Literal["head-measured"] = "head-measured"
    head_spread_all: float
    n_outputs: int


class LateReply(SiteEvent):
    """An answer to a round that was closed `late_s` before.

    counts_in       the round in which it counts, `n_rounds_late` after its own; None: in none
    error, code     why it could not be used, where it might have counted
    wall_s, size_bytes, facts   as in `SiteReplied`, where it counts
    """

    event: Literal["late-reply"] = "late-reply"
    late_s: float
    counts_in: int | None = None
    error: str | None = None
    code: str | None = None
    n_rounds_late: int | None = None
    wall_s: Value = None
    size_bytes: int | None = None
    facts: dict[str, Any] = Field(default_factory=dict)


class SubjectsChanged(SiteEvent):
    """A site's subjects are not those with which it began the run; recorded at each change.

    n_new, n_lost   subjects that are new since then, which only train, and that are gone
    """

    event: Literal["subjects-changed"] = "subjects-changed"
    n_new: int
    n_lost: int


class SiteRetried(SiteEvent):
    """A site that failed with this code is asked again in the same round."""

    event: Literal["retry"] = "retry"
    code: str


class SiteFailed(SiteEvent):
    """A site that sent nothing usable in this round."""

    event: Literal["site-failed"] = "site-failed"
    error: str
    code: str


class SiteStateChanged(SiteEvent):
    """A site is in another state than before."""

    event: Literal["site-state"] = "site-state"
    state: SiteState


class SiteDescribed(RunEvent):
    """What a site has. n_findings: level of finding -> how many. spacing_mm: the cases' median.

    n_missing: optional modality -> cases without it. n_template_without: modality -> of the
    subjects in the template's sums, those that are not in its own.
    """

    event: Literal["site-described"] = "site-described"
    site: str
    n_cases: int
    n_controls: int | None = None
    n_quarantined: int
    n_trainable: int | None = None
    lesion_volume_ml: Value = None
    n_findings: dict[str, int]
    n_template_subjects: int | None = None
    n_template_without: dict[str, int] = Field(default_factory=dict)
    n_missing: dict[str, int] = Field(default_factory=dict)
    spacing_mm: tuple[float, float, float] | None = None
    n_stripped: int | None = None


class SitePart(Recorded):
    """What one part of a site's split holds; n_cases: with and without lesions."""

    n_subjects: int
    n_cases: int
    n_lesions: int
    lesion_volume_ml: float


class SiteSplit(RunEvent):
    """How a training site split its cases. parts: such as training or test -> what it holds."""

    event: Literal["site-split"] = "site-split"
    site: str
    parts: dict[str, SitePart]


class TemplateMade(RunEvent):
    """The consortium's template: modality -> landmarks, rising.

    method      two-step: 3 relative class centres; nyul: 13 landmarks on a scale from 0 to 100
    landmarks   `centres` in older runs
    """

    event: Literal["template"] = "template"
    method: str = "two-step"
    landmarks: dict[str, tuple[float, ...]] = Field(
        validation_alias=AliasChoices("landmarks", "centres")
    )
    n_subjects: int | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The name of each landmark."""
        if self.method == "nyul":
            return tuple(f"percentile {percentile}" for percentile in PERCENTILES)
        return "darkest class", "middle class", "brightest class"


class BaselineTuned(RunEvent):
    """The intensity threshold that does best at the training sites, in standard deviations."""

    event: Literal["baseline-threshold"] = "baseline-threshold"
    modality: str
    threshold_z: float
    mean_dice: Value = None


class ChoiceAnnounced(RunEvent):
    """Before training: whether the sites' own cases can choose the round, or the threshold.

    n_subjects, n_sites   with a lesion, over whose cases it will be chosen; 0: it will not be
    otherwise             then what the result will be instead, and what would let it be chosen
    """

    event: Literal["choice-announced"] = "choice-announced"
    choice: Literal["round", "threshold"]
    n_subjects: int
    n_sites: int
    otherwise: str | None = None


class SitesValidated(RunEvent):
    """A training round's network on the cases that sites keep for validation, over all of them."""

    event: Literal["sites-validated"] = "sites-validated"
    round: int
    n_cases: int
    n_sites: int
    mean_dice: float


class LesionMetricStep(RunEvent):
    """The network that learns lesion F1 has done so many of its steps."""

    event: Literal["lesion-metric-step"] = "lesion-metric-step"
    step: int
    n_steps: int
    loss: Value = None


class LesionMetricTrained(RunEvent):
    """The network that learned lesion F1, on pairs of masks that it was not trained on.

    patch_shape            of the pairs, voxels: the recipe's own patches
    mae, bias, spearman    of its estimates beside the true values
    n_by_bin, mae_by_bin   pairs, and mae, by tenth of the true value
    accepted               whether they meet the aims; the run warns, or stops, if not
    """

    event: Literal["lesion-metric"] = "lesion-metric"
    n_pairs: int
    patch_shape: tuple[int, ...] = ()
    mae: float
    bias: float
    spearman: Value = None
    n_by_bin: tuple[int, ...] = ()
    mae_by_bin: tuple[Value, ...] = ()
    accepted: bool = True


class SiteMeans(RunEvent):
    """Means over cases at the sites; n_on_scanner_grid: how many, others on the prepared grid."""

    threshold: float
    n_cases: int
    n_on_scanner_grid: int = 0
    mean_dice: Value = None
    mean_lesion_f1: Value = None


class SiteTest(SiteMeans):
    """On the cases that training sites keep for a test. n_dice, n_lesion_f1: where defined."""

    event: Literal["site-test"] = "site-test"
    n_dice: int | None = None
    n_lesion_f1: int | None = None


class SiteEvaluation(SiteMeans):
    """On the cases of a site that evaluates and never trains."""

    event: Literal["site-evaluation"] = "site-evaluation"
    site: str


class Evaluated(RunEvent):
    """One held-out site, scored case by case; round 0 is before training."""

    event: Literal["evaluated"] = "evaluated"
    site: str
    role: str
    method: ScoredMethod
    round: int
    cases: tuple[InstanceOf[CaseRow], ...]

    @field_validator("cases", mode="before")
    @classmethod
    def _rows(cls, rows: object, info: ValidationInfo) -> tuple[CaseRow, ...]:
        """The rows as case rows; those of older runs do not name their site, the event does."""
        if not isinstance(rows, Sequence) or not all(
            isinstance(row, CaseRow) or (isinstance(row, Mapping) and "subject" in row)
            for row in rows
        ):
            raise ValueError("want a list of cases, each with its subject")
        site = info.data.get("site", "")
        cases = tuple(
            row if isinstance(row, CaseRow) else CaseRow.from_dict({"site": site, **row})
            for row in rows
        )
        if all(case.site == site for case in cases):
            return cases
        raise ValueError("want cases of this site alone")

    @field_serializer("cases")
    def _tables(self, cases: tuple[CaseRow, ...]) -> list[dict[str, Any]]:
        return [row.as_dict() for row in cases]


class RoundSelected(RunEvent):
    """The round that is the result, and what chose it.

    score   mean Dice on the validation sites, or on the cases that sites keep for validation
    """

    event: Literal["selected"] = "selected"
    round: int
    by: str
    score: Value = None
