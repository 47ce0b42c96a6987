"""The optimizer of a site, and how sites and coordinator work together."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from common.errors import ConfigError
from common.recipe.server_optimizer import PlainServer, ServerOptimizer
from common.settings import Settings, or_none

Positive = Annotated[int, Field(ge=1)]
LONGEST_WAIT_S = 30 * 86_400.0
"""30 days: no clock of the system overflows, and nobody waits longer on purpose."""
HeldBackShare = Annotated[float, Field(ge=0, le=0.5)]


class PatchesPerSubject(Settings):
    """As many steps as it takes to see so many patches of each of a site's training subjects."""

    patches_per_subject: Positive


class Optimizer(Settings):
    """The optimizer of a site in one round."""

    name: Literal["adam", "adadelta", "sgd"]
    learning_rate: Annotated[float, Field(gt=0)]
    """In the first round."""
    decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Factor on the learning rate from one round to the next."""
    steps: Positive | PatchesPerSubject
    """Optimizer steps a site takes in one round (federation.steps_are says whose they are), or
    { patches_per_subject = N }: N times the site's training subjects over sampling.batch_size,
    rounded up."""

    state: Literal["reset", "kept", "averaged"] = "reset"
    """What it remembers of earlier rounds. reset: nothing; kept: at each site what the site's own
    last round left, on its disk; averaged: the sites' mean, which goes out and comes back with the
    parameters and makes each message three times as large."""

    @property
    def fixed_steps(self) -> int:
        """The steps where they are a number; ConfigError where each site has its own."""
        if isinstance(self.steps, PatchesPerSubject):
            raise ConfigError(
                "optimizer.steps: want a number of steps here, got patches_per_subject = "
                f"{self.steps.patches_per_subject}, which gives each site another number. Set "
                "optimizer.steps to a number."
            )
        return self.steps

    def steps_at(self, *, n_subjects: int, batch_size: int) -> int:
        """Steps of one round at a site that trains on so many subjects."""
        if isinstance(self.steps, PatchesPerSubject):
            return math.ceil(self.steps.patches_per_subject * n_subjects / batch_size)
        return self.steps

    def learning_rate_in(self, round_index: int) -> float:
        """The learning rate of a round, counted from 1."""
        return self.learning_rate * self.decay ** (round_index - 1)


class Federation(Settings):
    """How sites and coordinator work together."""

    rounds: Positive
    """Of training; of each of the two networks in a cascade."""
    aggregation: Literal["weighted-mean", "median"] = "weighted-mean"
    """How the sites' updates are aggregated."""
    weighting: Literal["equal", "cases", "lesion-volume", "validation"] = "cases"
    """How much a site counts in the mean. validation: more where the network does badly on the
    cases that the site keeps for validation (ours after Liu 2023: docs/adr/0047)."""
    largest_share: Annotated[Annotated[float, Field(ge=0.1, le=1)] | None, or_none("a share")] = (
        None
    )
    """Largest share of a round's mean that one site may be, of those that answered; never below an
    equal share. Unset, or "none": a half where four sites or more answer, else no bound. Not with
    aggregation = "median", where every site counts alike."""
    longest_update: Annotated[float, Field(ge=2, le=1000)] = 10.0
    """How many times as long as the median over sites and rounds a site's update may be; what is
    longer is shortened to that (docs/adr/0049)."""
    server_optimizer: ServerOptimizer = PlainServer()
    """What the coordinator does with the mean change."""
    proximal: Annotated[float, Field(ge=0, le=100)] = 0.0
    """mu of mu / 2 ||theta - theta_round||^2, which pulls all that a site trains back to where its
    round began (FedProx: Li 2020, arXiv:1812.06127); 0: nothing does."""
    drift: Literal["none", "scaffold"] = "none"
    """scaffold: each step at a site is corrected by how its gradients differ from all sites'
    (Karimireddy 2020, arXiv:1910.06378, option II). Needs optimizer "sgd" and equal weights."""
    norms: Literal["averaged", "local"] = "averaged"
    """local: each site goes on with its own normalization layers, kept on its disk (after FedBN: Li
    2021, arXiv:2102.07623); their mean over the sites is what other sites are judged with."""
    quorum: Annotated[Positive | None, or_none("a whole number")] = None
    """Sites whose replies a round needs; unset, or "none": all of two or three, else two thirds."""
    wait_for_sites_s: Annotated[float, Field(gt=0, le=LONGEST_WAIT_S)] = 120.0
    """For sites that are not connected: when a round begins, and before a site is asked again."""
    round_deadline_s: Annotated[float, Field(gt=0, le=LONGEST_WAIT_S)] = 7200.0
    """Wall time after which a round closes without the sites that have not answered."""
    late_weight: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Factor on the weight of an update for each round that it comes late; 0: it is refused. Needs
    aggregation = "weighted-mean", and no step_budget."""
    moving_average: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Weight of the past in a moving average of the rounds' parameters, which is evaluated,
    selected and written in their place; sites go on from the parameters themselves. 0: none."""
    retries: Annotated[int, Field(ge=0)] = 1
    """How often a site is asked again in a round whose message was lost or whose process died."""
    exclude_after: Positive = 3
    """Rounds in a row in which a site failed, or was late, before it is not asked for a while."""
    exclude_rounds: Positive = 10
    """For how many rounds it is then not asked, nor counted for the quorum."""
    step_budget: Annotated[Annotated[float, Field(gt=0, le=1)] | None, or_none("a share")] = None
    """Share of the deadline that a site's steps may take; a slower site takes fewer. Unset, or
    "none": every site takes all steps."""
    steps_are: Literal["per-site", "whole-epoch"] = "per-site"
    """Whose optimizer.steps are. per-site: of each site; whole-epoch: of one epoch over all sites'
    data, divided over the training sites in proportion to their cases with lesions."""
    evaluate_every: Positive = 1
    """Central evaluation after every so many rounds, and always at round 0 and at the end."""
    split: Literal["random", "balanced"] = "random"
    """How a site splits its subjects into the shares below. balanced: lesion volume in proportion
    to each share, and subjects without a lesion split separately (Hussein 2023)."""
    site_validation_share: HeldBackShare = 0.2
    """Share of a site's subjects for validation: scored each round, never trained on; with
    split = "random" rounded to the nearest number of subjects, a half down."""
    site_threshold_share: HeldBackShare = 0.0
    """Share on which the decision threshold is chosen; 0: on the subjects for validation."""
    site_test_share: HeldBackShare = 0.0
    """Share that is scored once, at the end: the site's own test."""

    @model_validator(mode="after")
    def _weights_count(self) -> Self:
        if self.late_weight and self.aggregation != "weighted-mean":
            raise ValueError(
                f"late_weight = {self.late_weight:g} weighs updates, and aggregation = "
                f"{self.aggregation!r} has no weights; want weighted-mean, or late_weight = 0"
            )
        if self.late_weight and self.step_budget is not None:
            raise ValueError(
                "late_weight lets slow sites come late, step_budget makes them come in time; want "
                "one of the two"
            )
        return self

    @model_validator(mode="after")
    def _some_train(self) -> Self:
        shares = (self.site_validation_share, self.site_threshold_share, self.site_test_share)
        if sum(shares) > 0.8:
            raise ValueError(
                f"site_validation_share, site_threshold_share and site_test_share add up to "
                f"{sum(shares):g}; want at most 0.8, for the rest trains"
            )
        return self
