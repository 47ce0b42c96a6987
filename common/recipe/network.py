"""The segmentation networks, one settings class each."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from common.recipe.norm_size import NormSize, Shape, n_groups, norm_size
from common.settings import Settings

Positive = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Answer = Literal["map", "centre"]
"""map: a probability for every voxel of a patch; centre: one for the voxel in its middle."""
BatchOrGroup = Literal["batch", "group"]

LEAST_WIDTHS, MOST_WIDTHS = 4, 5
"""Of a U-Net: three or four halvings."""

CASCADE_WIDTHS = (32, 64)
"""Kernels of the two convolutions of network 'cascade'."""


class UNetSettings(Settings):
    """A 3D U-Net of three or four stages down and as many up; several dates are joined as channels.

    Four widths after a `first_stride` of 2 halve a patch as often as five after 1.
    """

    name: Literal["unet"]
    widths: tuple[Positive, ...] = Field(min_length=LEAST_WIDTHS, max_length=MOST_WIDTHS)
    """Features at each resolution; the last is the bottleneck."""
    first_stride: Literal[1, 2] = 1
    """2 halves the resolution before the first stage and restores it after the last."""
    full_resolution: bool = False
    """With a first_stride of 2: convolutions at the images' own resolution too, few and narrow,
    for lesions of a few voxels."""
    norm: Literal["instance", "group", "batch"] = "instance"
    dropout: Rate = 0.0
    first_probability: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Probability that the untrained network gives, on average. Lesions are rare: starting from
    one half, a small learning rate takes thousands of steps to decrease it."""

    @model_validator(mode="after")
    def _resolution_was_halved(self) -> Self:
        if self.full_resolution and self.first_stride == 1:
            raise ValueError(
                "full_resolution = true adds the resolution that a first_stride of 2 leaves out, "
                "and first_stride is 1; want 2, or full_resolution = false"
            )
        return self

    @property
    def answers(self) -> Answer:
        """What one patch gives."""
        return "map"

    @property
    def patch_multiple(self) -> int:
        """What each side of a patch must be a multiple of: it is halved between two widths."""
        return self._divisor(len(self.widths) - 1)

    def smallest_norm(self, patch_shape: Shape, *, batch_size: int) -> NormSize:
        """The norm of the fewest values in a training step."""
        n_widths = len(self.widths)
        changes = ["take four network.widths"] if n_widths > LEAST_WIDTHS else []
        changes += {
            "batch": ["raise sampling.batch_size"],
            "instance": ["set network.norm to group"],
            "group": ["widen network.widths"],
        }[self.norm]
        sizes = [
            norm_size(
                self.norm,
                f"width {1 + n_halvings} of {n_widths}",
                patch_shape,
                divisor=self._divisor(n_halvings),
                batch_size=batch_size,
                features_in_group=width // n_groups(width),
                change=", or ".join(changes),
            )
            for n_halvings, width in enumerate(self.widths)
        ]
        return min(sizes, key=lambda size: size.n_values)

    def _divisor(self, n_halvings: int) -> int:
        return int(2**n_halvings) * self.first_stride


class CascadeSettings(Settings):
    """Two patch networks in a row: the second looks where the first sees a lesion (Galassi 2019).

    Intensities are those of the first modality, standardized (z).
    """

    name: Literal["cascade"]
    norm: BatchOrGroup = "batch"
    """group: four groups of features, each sample by itself; prediction takes longer."""
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

    def smallest_norm(self, patch_shape: Shape, *, batch_size: int) -> NormSize:
        """The norm of the fewest values in a training step: the second, after one pooling."""
        return norm_size(
            self.norm,
            "the second convolution",
            patch_shape,
            divisor=2,
            batch_size=batch_size,
            features_in_group=CASCADE_WIDTHS[1] // n_groups(CASCADE_WIDTHS[1]),
            change="raise sampling.batch_size",
        )


class SiameseMPUNetSettings(Settings):
    """One segmentation block for both dates, and a refinement of its output (Fenneteau 2021)."""

    name: Literal["siamese-mpu-net"]
    features: Positive = 7
    """At each of the four resolutions."""
    norm: BatchOrGroup = "batch"
    """group: all features of a layer are one group, each date of a patch by itself."""
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

    def smallest_norm(self, patch_shape: Shape, *, batch_size: int) -> NormSize:
        """The norm of the fewest values in a training step, where both dates are in the batch."""
        return norm_size(
            self.norm,
            "the coarsest of four resolutions",
            patch_shape,
            divisor=self.patch_multiple,
            batch_size=2 * batch_size,
            features_in_group=self.features,
            change="raise sampling.batch_size"
            if self.norm == "batch"
            else "raise network.features",
        )


Network = Annotated[
    UNetSettings | CascadeSettings | SiameseMPUNetSettings, Field(discriminator="name")
]
