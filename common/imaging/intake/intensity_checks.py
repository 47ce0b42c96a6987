"""The values of an image: clipped, squeezed into 8 bits, negative, wrapped, exchanged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from common.arrays import BoolArray
from common.imaging.brain_mask import MASK_FIX, looks_stripped, mask_misfit, why_no_brain
from common.imaging.image_values import ValueFault, value_faults
from common.imaging.intake.findings import Finding, Level
from common.imaging.intake.nifti_header import read_header
from common.imaging.intake.usable_case import OpenCase
from common.imaging.tissue_order import TissueContrast, order_doubts, tissue_contrast
from common.imaging.volume import Volume, VolumeFault, same_grid

CLIPPED = 0.005
"""Share of an image's foreground at its largest value, from which it counts as clipped; chosen."""

MAY_BE_TRAINED_ON = ("negative", "inverted", "single-slice")
"""Faults that preparing cannot work on, and that need not keep a network from training."""

Z_SCORE_FIX = (
    "Use images from before any z-score, or a recipe without the template: --set "
    "'standardization.method=\"z-score\"'."
)

LESIONS_ML = 200.0
"""More lesion than this is most likely a mask of something else; chosen."""


def brightest_is_not_clipped(case: OpenCase) -> Iterator[Finding]:
    """A warning when many voxels above the smallest value hold the largest."""
    for modality, image in case.images.items():
        low, high = image.data.min(), image.data.max()
        n_foreground = int(np.count_nonzero(image.data > low))
        n_highest = int(np.count_nonzero(image.data == high))
        if low < high and n_foreground > n_highest >= CLIPPED * n_foreground:
            yield case.finding(
                "warning",
                "clipped",
                text=f"{modality}: {100 * n_highest / n_foreground:.1f} % of the voxels that are "
                f"not background have the largest value, {high:g}: bright lesions may be cut off",
                fix="Export the image again without a window, in 16 bits.",
            )


def values_have_room(case: OpenCase) -> Iterator[Finding]:
    """A note on the images that are stored in 8 bits."""
    squeezed = []
    for modality in case.images:
        try:
            data_type = read_header(case.files.images[modality]).data_type
        except VolumeFault:
            continue  # what cannot be read is a finding of its own
        if data_type in ("uint8", "int8"):
            squeezed.append(modality)
    if squeezed:
        yield case.finding(
            "note",
            "8-bit",
            text=f"stored in 8 bits, no more than 256 grey values: {', '.join(squeezed)}",
            fix="If the scanner's 12 to 16 bits are at hand, export the image from those.",
        )


def values_can_be_prepared(case: OpenCase) -> Iterator[Finding]:
    """Blocking for values on which no step of preparing works, a warning for odd ones."""
    for modality, fault in _value_faults(case):
        level: Level = "blocking" if fault.certain else "warning"
        yield _value_finding(case, modality, fault, level)


def values_can_be_trained_on(case: OpenCase) -> Iterator[Finding]:
    """Blocking for values that mean nothing, a warning for odd ones and those of another scale.

    A folder that was prepared elsewhere may hold z-scores, which some recipes take.
    """
    for modality, fault in _value_faults(case):
        blocking = fault.certain and fault.code not in MAY_BE_TRAINED_ON
        if fault.certain and fault.code == "negative":
            fault = replace(fault, fix=Z_SCORE_FIX)
        yield _value_finding(case, modality, fault, "blocking" if blocking else "warning")


def brain_mask_marks_a_brain(case: OpenCase) -> Iterator[Finding]:
    """Blocking for a brain mask that is inverted, or marks everything; a warning for one that
    hardly fits a stripped image.

    Not asked of a case with a spinal cord's mask or centreline.
    """
    if case.brain is None or not case.brain.data.any() or _is_cord(case):
        return
    if (fault := why_no_brain(case.brain.data > 0)) is not None:
        yield case.finding("blocking", "brain-mask", text=f"the brain mask {fault}", fix=MASK_FIX)
        return
    for modality, image in case.images.items():
        brain = _brain_on(case, image)
        if brain is not None and (fault := mask_misfit(image, brain)) is not None:
            text = f"{modality}: the brain mask {fault}"
            yield case.finding("warning", "brain-mask", text=text, fix=MASK_FIX)


def tissues_are_in_order(case: OpenCase) -> Iterator[Finding]:
    """A warning where fluid, grey and white matter are not as bright as the modality has them.

    Asked where the brain is known: of stripped images, and where a brain mask lies on the image.
    """
    if _is_cord(case):
        return
    contrasts: dict[str, TissueContrast] = {}
    for modality, image in case.images.items():
        brain = _brain_on(case, image)
        if brain is None and looks_stripped(image):
            brain = image.data != 0
        if brain is not None:
            found = tissue_contrast(image, Volume(brain, image.affine), case.lesions)
            contrasts |= {} if found is None else {modality: found}
    for modality, doubt in order_doubts(contrasts):
        yield case.finding(
            "warning",
            "tissue-order",
            text=f"{modality}: {doubt} (a heuristic)",
            fix="Look at the images, and at their names.",
        )


def lesions_are_plausible(case: OpenCase) -> Iterator[Finding]:
    """A warning for more lesion than a brain with MS has."""
    if case.lesions is not None:
        n_voxels = int(np.count_nonzero(case.lesions.data))
        volume_ml = n_voxels * case.lesions.voxel_volume_mm3 / 1000
        if volume_ml > LESIONS_ML:
            yield case.finding(
                "warning",
                "much-lesion",
                text=f"the lesion mask holds {volume_ml:.0f} mL, more than {LESIONS_ML:g} mL",
                fix="Check that it is no brain or tissue mask, and not inverted.",
            )


def _value_faults(case: OpenCase) -> Iterator[tuple[str, ValueFault]]:
    for modality, image in case.images.items():
        of_head = not _is_cord(case)
        for fault in value_faults(image, _brain_on(case, image), of_head=of_head):
            said = fault.code == "empty-image" or (fault.code == "zero-brain" and case.brain)
            if not said:  # by `images_show_something`, and by the checks of the site's own mask
                yield modality, fault


def _value_finding(case: OpenCase, modality: str, fault: ValueFault, level: Level) -> Finding:
    return case.finding(level, fault.code, text=f"{modality}: {fault.text}", fix=fault.fix)


def _brain_on(case: OpenCase, image: Volume) -> BoolArray | None:
    """The site's brain mask where it marks a brain on this image's grid."""
    if case.brain is None or not same_grid(case.brain, image):
        return None
    brain: BoolArray = np.asarray(case.brain.data > 0)
    return brain if why_no_brain(brain) is None else None


def _is_cord(case: OpenCase) -> bool:
    return case.files.cord_mask is not None or case.files.centreline is not None
