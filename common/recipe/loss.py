"""What training minimizes: a segmentation loss, and what is added to it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from common.settings import Settings

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, lt=1)]


class Dice(Settings):
    """Soft Dice of each patch, squared denominator (Aslani 2020)."""

    name: Literal["dice"]


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


class FocalTversky(Settings):
    """(1 - Tversky index) to the power 1 / gamma."""

    name: Literal["focal-tversky"]
    false_negatives: Share = 0.7
    gamma: Annotated[float, Field(ge=1, le=3)] = 4 / 3


class BatchDice(Settings):
    """Dice over outputs, batch and space together (Fenneteau 2021)."""

    name: Literal["batch-dice"]
    form: Literal["corrected", "literal"] = "corrected"
    """literal: as printed, where a batch without a lesion that is left empty gives -2 and a perfect
    match -1; corrected: both give -1."""


SegmentationLoss = Annotated[
    Dice | GeneralizedDice | BinaryCrossEntropy | Tversky | FocalTversky | BatchDice,
    Field(discriminator="name"),
]


class SiteLoss(Settings):
    """The domain regularization on the site's index (Aslani 2020)."""

    name: Literal["none", "pearson", "uniform", "random"]
    weight: Annotated[float, Field(ge=0)]
    """Lambda in L = L_seg + lambda L_reg."""


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


def _none_by_name(value: object) -> object:
    """TOML has no null, and a variant or `--set` must be able to take the loss away."""
    return None if value == "none" else value


class Loss(Settings):
    """What training minimizes."""

    segmentation: SegmentationLoss
    site: SiteLoss
    lesion_wise: Annotated[LesionWise | None, BeforeValidator(_none_by_name)] = None
    """In a file "none" where there is none, as when the line is left out."""
