"""Which pieces of an image one training step sees."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from common.settings import Settings

Positive = Annotated[int, Field(ge=1)]
Shape = tuple[Positive, Positive, Positive]
Augmentation = Literal[
    "mirror-left-right",
    "mirror",
    "quarter-turns",
    "half-turn",
    "image-quality",
    "lesion-transplant",
    "rotation-scaling",
    "scanner",
    "modality-dropout",
]


class Sampling(Settings):
    """Which pieces of an image one training step sees."""

    name: Literal["patches", "grid", "centreline", "voxels"] = "patches"
    """patches: anywhere in the brain; grid: on a grid with half a patch between neighbours, those
    that hold a lesion voxel, each as likely (Aslani 2020); centreline: along the spinal cord;
    voxels: around lesion voxels and others, for networks that predict one voxel of a
    patch."""
    patch_shape: Shape
    """Voxels along (i, j, k)."""
    batch_size: Positive
    lesion_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Of a case with lesions, the share of the patches that hold a lesion voxel. Below 1 the others
    lie anywhere, and cases without a lesion train too, each case as often as any other. With
    `voxels`: the share of a batch that has one in the middle, below 1; cases with a lesion only.
    With `grid`: 1."""
    hard_negative_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Of the patches that need not hold a lesion voxel, the share about a voxel of a lesion that
    the round's received network finds and the reference does not have. It is of the patches of four
    cases, in which the site looks in that round; those of its other cases lie anywhere. Needs
    `patches` and a lesion_share below 1."""
    augment: tuple[Augmentation, ...] = ()
    """In this order. mirror-left-right: the first axis, with probability one half; mirror: each
    axis; quarter-turns: by a multiple of 90 degrees; half-turn: half of each batch by 180 degrees
    in plane, flipped, or both; image-quality: blurred, sharpened, or averaged over slices;
    lesion-transplant: half of the patches without a lesion get drawn ones; before those that change
    the quality, which lesions share with their surroundings;
    rotation-scaling: half of the patches by up to 15 degrees and 15 %; scanner: contrast,
    resolution, slices, noise and bias field of another scanner, each channel by itself;
    modality-dropout: each modality but the first 0 with probability 1/4."""

    @model_validator(mode="after")
    def _some_patches_may_be_hard(self) -> Self:
        if self.hard_negative_share and self.name != "patches":
            raise ValueError(
                f"hard_negative_share = {self.hard_negative_share:g} goes with name = 'patches', "
                f"got {self.name!r}; want 0, or 'patches'"
            )
        if self.hard_negative_share and self.lesion_share == 1:
            raise ValueError(
                f"hard_negative_share = {self.hard_negative_share:g} is a share of the patches "
                "that need not hold a lesion voxel, and lesion_share = 1 leaves none; want a "
                "lesion_share below 1, or 0"
            )
        return self

    @property
    def takes_lesion_free_cases(self) -> bool:
        """Whether a case without a lesion trains."""
        return self.name != "voxels" and self.lesion_share < 1
