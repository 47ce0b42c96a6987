"""What a run knows after a round: all that it needs to continue."""

from __future__ import annotations

from dataclasses import field

from pydantic.dataclasses import dataclass

from common.imaging.dataset.trained_grid import TrainedGrid
from common.imaging.standardization.template import Template
from common.metrics.threshold_choice import ThresholdChoice
from common.wire.feature_summary import FeatureSummary
from common.wire.field_types import CHECKED, Arrays
from server.aggregation.site_weight import Declared
from server.run.site_state import SiteRecord


@dataclass(frozen=True, kw_only=True, slots=True, config=CHECKED)
class Selected:
    """The training round chosen up to now, and why.

    score   mean Dice on the validation sites, or on the cases that sites keep for validation; None
            where the last round is the result
    sites   in the second case, those whose cases it is over
    """

    round_index: int
    by: str
    score: float | None
    sites: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True, config=CHECKED)
class SiteValidation:
    """How a round's parameters do on the cases that sites keep for validation.

    n_cases, sites   those that the mean is over
    """

    mean_dice: float
    n_cases: int
    sites: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True, config=CHECKED)
class RunState:
    """Everything the next round starts from.

    No random numbers are kept: every seed is derived from the recipe, the site and the round.

    phase                the phase that is under way
    round_index          rounds finished in it; 0 before its first
    rounds_before        training rounds of the phases before, in a run that trains more than once
    judged               whether central evaluation has scored this round
    template             the consortium's landmarks; empty until the statistics are in
    trained_grid         what the training sites' images are like; None where no site says it
    baseline_threshold   the intensity threshold tuned on the training sites, standardized units
    sites_choose_round   whether the cases that sites keep for validation choose the round
    site_validation      of the round that was finished last; None where it was not asked for, or
                         no sums may be used
    lesion_metric        digest of the lesion metric's network that the sites keep, if there is one
    threshold_choice     the decision threshold chosen on the training sites' kept cases, if it was
    step_seconds         site -> seconds that one optimizer step is assumed to take there; with
                         `federation.step_budget` alone
    features             site index -> the last summary of its features that the site has sent; with
                         a site loss that needs them alone
    training_cases       training site -> its cases with lesions, by which a whole epoch's steps are
                         divided; with `federation.steps_are` = "whole-epoch" alone
    sites                site -> where it stands
    parameters           `network.*` and `head.*`; empty before training
    optimizer_state      the sites' mean, with `optimizer.state` = "averaged" alone; else a site has
                         its own, on its disk, or restarts it
    server_state         what `federation.server_optimizer` remembers; empty with "none"
    variates             the mean of the sites' control variates, with `federation.drift` =
                         "scaffold" alone
    validation_dice      site -> the last mean Dice on its validation cases that it has sent; with
                         `federation.weighting` = "validation" alone
    declared             site -> what it said in the statistics that it has to train on, above which
                         its updates do not count
    update_norms         kind of array -> lengths of the sites' updates in the last rounds, by which
                         a longer one is shortened; see aggregation/bounded_updates.py
    average              moving average of the rounds' `network.*`; with `federation.moving_average`
                         alone, from the first aggregate on
    """

    phase: str = ""
    round_index: int = 0
    rounds_before: int = 0
    judged: bool = False
    template: Template = field(default_factory=dict)
    trained_grid: TrainedGrid | None = None
    baseline_threshold: float | None = None
    selected: Selected | None = None
    sites_choose_round: bool = False
    site_validation: SiteValidation | None = None
    lesion_metric: str | None = None
    threshold_choice: ThresholdChoice | None = None
    step_seconds: dict[str, float] = field(default_factory=dict)
    features: dict[int, FeatureSummary] = field(default_factory=dict)
    training_cases: dict[str, int] = field(default_factory=dict)
    sites: dict[str, SiteRecord] = field(default_factory=dict)
    parameters: Arrays = field(default_factory=dict)
    optimizer_state: Arrays = field(default_factory=dict)
    server_state: Arrays = field(default_factory=dict)
    variates: Arrays = field(default_factory=dict)
    validation_dice: dict[str, float] = field(default_factory=dict)
    declared: dict[str, Declared] = field(default_factory=dict)
    update_norms: dict[str, tuple[tuple[float, ...], ...]] = field(default_factory=dict)
    average: Arrays = field(default_factory=dict)

    @property
    def judged_parameters(self) -> Arrays:
        """Those that are evaluated, selected and written: the moving average where there is one."""
        return self.average or self.parameters

    @property
    def training_round(self) -> int:
        """Training rounds finished in the whole run: what curves and the model file count."""
        return self.rounds_before + self.round_index
