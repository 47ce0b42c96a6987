"""The values of an image: clipped, squeezed into 8 bits, negative."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from common.imaging.intake.findings import Finding
from common.imaging.intake.nifti_header import read_header
from common.imaging.intake.usable_case import OpenCase
from common.imaging.volume import VolumeFault

CLIPPED = 0.005
"""Share of an image's foreground at its largest value, from which it counts as clipped; chosen."""

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


def values_are_not_negative(case: OpenCase) -> Iterator[Finding]:
    """A warning when an image holds values below 0, as no magnitude image does."""
    for modality, image in case.images.items():
        n_negative = int(np.count_nonzero(image.data < 0))
        if n_negative:
            share = 100 * n_negative / image.data.size
            yield case.finding(
                "warning",
                "negative",
                text=f"{modality}: {share:.2g} % of the voxels are below 0, the smallest "
                f"{float(image.data.min()):g}: standardized or interpolated before?",
                fix="Use the magnitude image as the scanner gave it.",
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
