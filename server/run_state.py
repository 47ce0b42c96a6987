"""What a run knows after a round: all that it needs to go on."""

from __future__ import annotations

from dataclasses import field

from pydantic.dataclasses import dataclass

from common.imaging.preprocessing.template import Template
from common.metrics.threshold_choice import ThresholdChoice
from common.wire.messages import CHECKED, Arrays


@dataclass(frozen=True, kw_only=True, slots=True, config=CHECKED)
class Selected:
    """The training round chosen so far, and why.

    score   mean Dice on the validation sites; None where the last round is the result
    """

    round_index: int
    by: str
    score: float | None


@dataclass(frozen=True, kw_only=True, slots=True, config=CHECKED)
class RunState:
    """Everything the next round starts from.

    phase                the phase that is under way
    round_index          rounds finished in it; 0 before its first
    judged               whether central evaluation has scored this round
    template             the consortium's landmarks; empty until the statistics are in
    baseline_threshold   the intensity threshold tuned on the training sites, standardized units
    threshold_choice     the decision threshold chosen on the training sites' kept cases, if it was
    parameters           `network.*` and `head.*`; empty before training
    """

    phase: str = ""
    round_index: int = 0
    judged: bool = False
    template: Template = field(default_factory=dict)
    baseline_threshold: float | None = None
    selected: Selected | None = None
    threshold_choice: ThresholdChoice | None = None
    parameters: Arrays = field(default_factory=dict)
