"""What the values of a case say against it: before its first step, and after the last one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from common.errors import SiteDataError
from common.imaging.brain_mask import LARGEST_BRAIN_ML, MASK_FIX, mask_misfit, why_no_brain
from common.imaging.image_values import value_faults
from common.imaging.preprocessing.working_case import WorkingCase
from common.imaging.tissue_order import order_doubts, tissue_contrast
from common.imaging.volume import Volume, same_grid

MOST_SHADING = 5.0
"""A bias field whose brightest place is so many times its darkest is no coil's; chosen: over 18
images of real heads it is 1.0 to 1.8 times, over 12 phantoms 1.2 to 2.1."""


def first_doubts(case: WorkingCase, *, of_head: bool) -> list[str]:
    """What is odd about a case as it came: its own brain mask, and the values of its images.

    of_head   False for a spinal cord
    The mask tells where to look in an image on whose grid it lies: others are not registered yet.
    """
    brain, notes = None, []
    if case.brain is not None:
        brain = Volume(case.brain.volume.data > 0, case.brain.volume.affine)
        notes += mask_doubts(brain) if of_head else []
    for name, image in case.images.items():
        here = brain if brain is not None and same_grid(brain, image.volume) else None
        notes += value_doubts(name, image.volume, here, of_head=of_head)
        if here is not None and of_head and here.data.any():
            notes += misfit_doubts(name, image.volume, here)
    return notes


def value_doubts(name: str, image: Volume, brain: Volume | None, *, of_head: bool) -> list[str]:
    """What is odd about one image's values, as the text of notes.

    brain     bool, on the image's grid, where it is known
    of_head   False for a spinal cord
    SiteDataError where no step can work on them.
    """
    inside = None if brain is None or not brain.data.any() else brain.data
    notes = []
    for fault in value_faults(image, inside, of_head=of_head):
        if fault.certain:
            raise SiteDataError(f"{name}: {fault.text}. {fault.fix}", code="intensities")
        notes.append(f"{name}: {fault.text}")
    return notes


def mask_doubts(brain: Volume) -> list[str]:
    """What is odd about a brain mask, as notes; SiteDataError where it marks no brain at all."""
    if (fault := why_no_brain(brain.data)) is not None:
        raise SiteDataError(f"the brain mask {fault}. {MASK_FIX}")
    volume_ml = np.count_nonzero(brain.data) * brain.voxel_volume_mm3 / 1000
    if volume_ml > LARGEST_BRAIN_ML:
        return [f"the brain mask holds {volume_ml:.0f} mL, more than a brain: is it the head's?"]
    return []


def misfit_doubts(name: str, image: Volume, brain: Volume) -> list[str]:
    """A note where a brain mask hardly belongs to the stripped image on its grid."""
    fault = mask_misfit(image, brain.data)
    return [] if fault is None else [f"{name}: the brain mask {fault}: does it belong to it?"]


def prepared_doubts(images: Mapping[str, Volume], brain: Volume, *, of_head: bool) -> list[str]:
    """What is odd about images that were prepared elsewhere, as notes; nothing is refused for it.

    brain     bool, on their grid
    of_head   False for a spinal cord
    Values that were z-scored are none of it: a recipe may want them, and the step says when not.
    """
    notes = [
        f"{name}: {fault.text}"
        for name, image in images.items()
        for fault in value_faults(image, brain.data, of_head=of_head)
        if fault.code != "negative"
    ]
    if of_head:
        for name, image in images.items():
            notes += misfit_doubts(name, image, brain)
        notes += tissue_doubts(images, brain, None)
    return list(dict.fromkeys(notes))


def shading_doubts(name: str, before: Volume, after: Volume, brain: Volume) -> list[str]:
    """A note where the bias-field correction changed the brain more than a scanner shades it."""
    seen = brain.data & (before.data > 0) & (after.data > 0)
    factors = after.data[seen] / before.data[seen]
    low, high = (float(factor) for factor in np.percentile(factors[::7], (1, 99)))
    if high <= MOST_SHADING * low:
        return []
    return [
        f"the bias-field correction multiplied the {name} by {low:.2g} in one place and {high:.2g} "
        "in another: look at the image"
    ]


def tissue_doubts(images: Mapping[str, Volume], brain: Volume, lesions: Volume | None) -> list[str]:
    """A note where fluid, grey and white matter are not as bright as the modality has them."""
    found = {name: tissue_contrast(image, brain, lesions) for name, image in images.items()}
    contrasts = {name: contrast for name, contrast in found.items() if contrast is not None}
    return [f"{modality}: {doubt}" for modality, doubt in order_doubts(contrasts)]
