"""What training minimizes: a segmentation loss, and what is added to it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from common.recipe.norm_size import NormSize, Shape, norm_size
from common.settings import Settings, or_none

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, lt=1)]
Over = Literal["patch", "batch"]
"""What the sums of a loss go over: each patch by itself, or all patches of a batch together."""
Voxels = Annotated[float, Field(gt=0)]
BatchDiceForm = Literal["corrected", "literal"]

EPSILON = 30.0
"""Voxels a patch. Lesion-free patches teach with it; the measurements are in docs/adr/0042."""
PRINTED_EPSILON = 1e-5
"""Of the batch Dice of Fenneteau 2021, and of no use to a patch without a lesion."""


class Dice(Settings):
    """Soft Dice, squared denominator (Aslani 2020)."""

    name: Literal["dice"]
    over: Over = "batch"
    """patch: every patch has a Dice of its own; batch: the batch has one."""
    epsilon: Voxels = EPSILON
    """Voxels a patch, added above and below. A lesion-free patch has next to no gradient where the
    epsilon is far below its sum of squared probabilities."""


class DiceAndBce(Settings):
    """`dice` plus `bce`, as in nnU-Net (Isensee 2021)."""

    name: Literal["dice-and-bce"]
    over: Over = "batch"
    """As in `dice`."""
    epsilon: Voxels = EPSILON
    """As in `dice`."""


class GeneralizedDice(Settings):
    """Dice of lesion and background together, each by the inverse of its volume squared."""

    name: Literal["generalized-dice"]


class BinaryCrossEntropy(Settings):
    """Mean over the voxels."""

    name: Literal["bce"]


class Tversky(Settings):
    """Dice with weights for false negatives and false positives."""

    name: Literal["tversky"]
    false_negatives: Share = 0.7
    """Weight of what is missed; false positives get the rest."""
    over: Over = "batch"
    """As in `dice`."""
    epsilon: Voxels = EPSILON
    """As in `dice`."""


class FocalTversky(Settings):
    """(1 - Tversky index) to the power 1 / gamma."""

    name: Literal["focal-tversky"]
    false_negatives: Share = 0.7
    gamma: Annotated[float, Field(ge=1, le=3)] = 4 / 3
    over: Over = "batch"
    """As in `dice`."""
    epsilon: Voxels = EPSILON
    """As in `dice`, of the index before the power."""


class BatchDice(Settings):
    """Dice over outputs, batch and space together (Fenneteau 2021)."""

    name: Literal["batch-dice"]
    form: BatchDiceForm = "corrected"
    """literal: as printed, where a batch without a lesion that is left empty gives -2 and a perfect
    match -1; corrected: both give -1."""
    epsilon: Voxels = EPSILON
    """corrected: voxels a patch and output; literal: the printed 1e-5, over the whole batch."""

    @model_validator(mode="after")
    def _literal_has_the_printed_epsilon(self) -> Self:
        if self.form == "literal" and self.epsilon != PRINTED_EPSILON:
            raise ValueError(
                f"form 'literal' is the printed one, with epsilon {PRINTED_EPSILON:g}, got "
                f"{self.epsilon:g}. Set epsilon to {PRINTED_EPSILON:g}, or form to 'corrected'"
            )
        return self


OfPatchOrBatch = Dice | DiceAndBce | Tversky | FocalTversky
"""Losses with `over`."""
SegmentationLoss = Annotated[
    OfPatchOrBatch | GeneralizedDice | BinaryCrossEntropy | BatchDice,
    Field(discriminator="name"),
]


class SiteLoss(Settings):
    """The domain regularization on the site's index (docs/adr/0038).

    `pearson`, `random` and `uniform` are Aslani 2020's, where head and encoder minimize one loss.
    `fed_confusion`, `fedharmony` and `moment_align` are made for sites that hold one index each.
    """

    name: Literal[
        "none", "pearson", "random", "uniform", "fed_confusion", "fedharmony", "moment_align"
    ]
    weight: Annotated[float, Field(ge=0)]
    """Lambda in L = L_seg + lambda L_reg."""
    ramp_rounds: Annotated[int, Field(ge=0)] = 0
    """Rounds over which the weight rises: in round r it is weight * min(1, (r - 1) / ramp_rounds).
    0: the whole weight from the first round."""
    gradient_bound: Annotated[Annotated[float, Field(gt=0)] | None, or_none("a number above 0")] = (
        None
    )
    """In every step the gradient of lambda L_reg on the encoder is made no longer than this many
    times that of the other losses there. Unset, or "none": it stays as it is."""
    proximal: Annotated[float, Field(ge=0)] = 0.0
    """mu of mu / 2 ||theta - theta_round||^2, which pulls the encoder back to the parameters that
    the round began with (FedProx), in rounds with the site loss; 0: nothing does."""

    @property
    def has_head(self) -> bool:
        """Whether it looks at a site head's answer."""
        return self.name not in ("none", "moment_align")

    @property
    def trains_head_at_sites(self) -> bool:
        """Whether the sites train the head, so that it is averaged like the network."""
        return self.has_head and self.name != "fed_confusion"

    @property
    def needs_summaries(self) -> bool:
        """Whether it needs the sites' feature summaries of the round before."""
        return self.name in ("fed_confusion", "fedharmony", "moment_align")

    def weight_in(self, round_index: int) -> float:
        """The weight of a round, counted from 1."""
        if self.ramp_rounds == 0:
            return self.weight
        return self.weight * min(1.0, (round_index - 1) / self.ramp_rounds)

    @model_validator(mode="after")
    def _pulls_beside_a_site_loss(self) -> Self:
        if self.name == "none" and self.proximal > 0:
            raise ValueError(
                f"proximal = {self.proximal:g} pulls the encoder in steps with a site loss, and "
                "name = 'none' has none: nothing would pull. Set proximal to 0, or choose a site "
                "loss"
            )
        return self

    @model_validator(mode="after")
    def _waits_for_summaries(self) -> Self:
        if self.needs_summaries and self.ramp_rounds == 0:
            raise ValueError(
                f"{self.name!r} uses what the sites send in the round before, and ramp_rounds = 0 "
                "begins with the first; want ramp_rounds of 1 or more"
            )
        return self


MOST_MAE, LEAST_SPEARMAN = 0.06, 0.95
"""The aims of docs/adr/0024 for LesionWise's network, on pairs of masks that it has not seen."""


class LesionWise(Settings):
    """A loss from a network that has learned lesion F1 (Kamraoui 2021).

    The coordinator trains the network before the first round, from masks alone; then it is frozen.
    """

    weight: Annotated[float, Field(gt=0)] = 0.2
    """Alpha in L = L_seg + alpha (1 - F)."""
    from_round: Positive = 1
    """The first training round with F. F has learned from masks: while the segmenter does not find
    lesions yet, it would learn to maximize F's estimate instead."""
    widths: tuple[Positive, ...] = Field(default=(16, 32, 64, 64), min_length=2, max_length=6)
    """Features of its convolutions, each of which halves the resolution."""
    n_pairs: Positive
    """Pairs of masks that are generated to learn from."""
    steps: Positive
    batch_size: Positive
    learning_rate: Annotated[float, Field(gt=0)]
    on_missed_aims: Literal["warn", "stop"] = "warn"
    """What the run does where F misses its aims (docs/adr/0024) on pairs that it has not seen:
    it warns, now and in every round with F, or it stops before the first round."""

    def smallest_norm(self, patch_shape: Shape) -> NormSize:
        """The norm of F of the fewest values while F trains."""
        return norm_size(
            "batch",
            f"width {len(self.widths)} of {len(self.widths)}",
            patch_shape,
            divisor=2 ** len(self.widths),
            batch_size=self.batch_size,
            features_in_group=1,
            change="raise loss.lesion_wise.batch_size, or take fewer loss.lesion_wise.widths",
        )


class Loss(Settings):
    """What training minimizes."""

    segmentation: SegmentationLoss
    site: SiteLoss
    lesion_wise: Annotated[LesionWise | None, or_none("a table of its settings")] = None
    """In a file "none" where there is none, as when the line is left out."""
