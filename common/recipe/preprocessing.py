"""From the scanner's images to one grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from common.settings import Settings, or_none

Step = Literal["denoise", "register", "brain", "cord", "bias-field", "resample", "crop"]


class Preprocessing(Settings):
    """From the scanner's images to one grid: what `lesionfed-site prepare` does.

    Without steps the site's folder is used as it is. Training always reads a folder that was
    prepared before, with LesionFed or by other means.
    """

    steps: tuple[Step, ...] = ()
    """In the order in which they run. denoise: non-local means, adapted to the measured noise.
    register: every modality rigidly to `reference`. brain: the site's own mask, else a stripped
    image's, else one from an outside tool, else from the template; voxels outside become 0.
    cord, in place of brain: the surroundings of the spinal cord's centreline, which the site gives
    as a table, else as a mask of the cord; the other steps use this region as the brain.
    bias-field: N4 inside the brain. resample: every image once, linearly, onto the grid of `space`;
    masks to the nearest voxel. crop: to the brain."""
    space: Literal["own", "mni152", "halfway"] = "own"
    """Where the common grid lies. own: at the reference's position, axes along the patient's;
    mni152: rigidly at the MNI152 template, on its own grid; halfway: between a subject's two
    sessions, one grid for both."""
    spacing_mm: Annotated[float, Field(ge=0.3, le=5)] = 1.0
    """Edge of the common grid's cubic voxels, mm."""
    crop_margin_mm: Annotated[float, Field(ge=0, le=50)] = 5.0
    """What `crop` leaves around the brain, mm."""
    cord_radius_mm: Annotated[float, Field(gt=0, le=100)] = 15.0
    """How far from the centreline `cord` looks, mm (chosen; a cord is less than 15 mm wide)."""
    reference: Annotated[str | None, or_none()] = None
    """The modality that stays where it is while the others are registered. Unset, or "none": FLAIR
    for `halfway`, else T1w; the first of the task's where it has no such image."""

    @model_validator(mode="after")
    def _steps_can_work(self) -> Self:
        steps = self.steps
        if not steps:
            return self
        if twice := sorted({step for step in steps if steps.count(step) > 1}):
            raise ValueError(f"each step once, got {', '.join(twice)} more often in {steps}")
        if not {"brain", "cord"} & set(steps):
            raise ValueError(
                f"steps {steps} lack 'brain': standardization and training look inside the brain "
                "alone, or near the spinal cord with 'cord' in its place"
            )
        if {"brain", "cord"} <= set(steps):
            raise ValueError(
                f"steps {steps} have both 'brain' and 'cord': each says where to look; keep one"
            )
        if "resample" not in steps:
            raise ValueError(
                f"steps {steps} lack 'resample': until then each image stays on the grid it was "
                "acquired on"
            )
        for first, later, reason in _ORDER:
            if {first, later} <= set(steps) and steps.index(first) > steps.index(later):
                raise ValueError(f"steps {steps} have {later!r} before {first!r}: {reason}")
        if self.space == "mni152" and "cord" in steps:
            raise ValueError(
                "space 'mni152' is a brain's template, and the steps look at the cord; choose "
                "space 'own' or 'halfway'"
            )
        if self.space == "mni152" and self.spacing_mm != 1.0:
            raise ValueError(
                f"space 'mni152' is a grid of 1 mm, got spacing_mm {self.spacing_mm:g}; "
                "choose space 'own' for another spacing"
            )
        return self

    def reference_of(self, modalities: Sequence[str]) -> str:
        """The modality that the others are registered to, of those given."""
        wanted = self.reference or ("FLAIR" if self.space == "halfway" else "T1w")
        return wanted if wanted in modalities else modalities[0]


_ORDER: tuple[tuple[Step, Step, str], ...] = (
    ("brain", "bias-field", "the bias field is estimated inside the brain"),
    ("cord", "bias-field", "the bias field is estimated near the cord"),
    ("denoise", "resample", "interpolation leaves noise that is no longer the scanner's"),
    ("register", "resample", "each image is interpolated once, with all its moves"),
    ("brain", "resample", "the brain is found on the scanner's own intensities"),
    ("cord", "resample", "the centreline lies in the scanner's world"),
    ("bias-field", "resample", "the bias field belongs to the scanner's grid"),
    ("resample", "crop", "the crop is a box of the common grid"),
)
"""First step, later step, and why it cannot be the other way round."""
