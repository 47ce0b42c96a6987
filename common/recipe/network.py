"""The segmentation networks, one settings class each."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from common.settings import Settings

Positive = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Answer = Literal["map", "centre"]
"""map: a probability for every voxel of a patch; centre: one for the voxel in its middle."""


class UNetSettings(Settings):
    """A 3D U-Net of four stages down and four up; several dates are joined as channels."""

    name: Literal["unet"]
    widths: tuple[Positive, ...] = Field(min_length=5, max_length=5)
    """Features at the five resolutions; the last is the bottleneck."""
    first_stride: Literal[1, 2] = 1
    """2 halves the resolution before the first stage and restores it after the last."""
    norm: Literal["instance", "group", "batch"] = "instance"
    dropout: Rate = 0.0
    first_probability: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Probability that the untrained network gives, on average. Lesions are rare: starting from
    one half, a small learning rate takes thousands of steps to decrease it."""

    @property
    def answers(self) -> Answer:
        """What one patch gives."""
        return "map"

    @property
    def patch_multiple(self) -> int:
        """What each side of a patch must be a multiple of: four halvings after the first stride."""
        return 16 * self.first_stride


class CascadeSettings(Settings):
    """Two patch networks in a row: the second looks where the first sees a lesion (Galassi 2019).

    Intensities are those of the first modality, standardized (z).
    """

    name: Literal["cascade"]
    dropout: Rate = 0.5
    candidates_above: float = 0.5
    """Only brighter voxels are used, in training (as negatives) and at prediction."""
    hard_negatives_above: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Voxels without lesion to which the first network gives more train the second."""
    fallback_above: float = 2.0
    """Where the first network makes no mistake, voxels brighter than this are used instead."""
    second_above: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Where the first network gives more, the second is applied at prediction."""

    @property
    def answers(self) -> Answer:
        """What one patch gives."""
        return "centre"


class SiameseMPUNetSettings(Settings):
    """One segmentation block for both dates, and a refinement of its output (Fenneteau 2021)."""

    name: Literal["siamese-mpu-net"]
    features: Positive = 7
    """At each of the four resolutions."""
    dropout: Rate = 0.1
    checkpointing: bool = False
    """Compute activations again in the backward pass instead of storing them: slower, but a batch
    of 40 patches fits into ordinary memory; the result is the same."""

    @property
    def answers(self) -> Answer:
        """What one patch gives."""
        return "map"

    @property
    def patch_multiple(self) -> int:
        """What each side of a patch must be a multiple of: three halvings."""
        return 8


Network = Annotated[
    UNetSettings | CascadeSettings | SiameseMPUNetSettings, Field(discriminator="name")
]
