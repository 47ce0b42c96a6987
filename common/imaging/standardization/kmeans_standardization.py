"""Step 1 of the two: the image's class centres are carried to the template's."""

from __future__ import annotations

from typing import Literal

import numpy as np

from common.imaging.standardization.brain_voxels import Voxels
from common.imaging.standardization.class_centres import (
    Centres,
    IntensityClasses,
    intensity_classes,
)
from common.imaging.standardization.landmark_map import Mapped, piecewise, smooth

CentreMap = Literal["piecewise", "smooth", "line"]

SMALLEST_SHARE = 0.01
"""A class with a smaller part of the voxels is not a tissue."""

SMALLEST_GAP = 0.01
"""Centres nearer to each other than this part of the mean count as equal."""


def map_to_template(voxels: Voxels, template_centres: Centres, *, map: CentreMap) -> Mapped:
    """The intensities with their class centres carried to the template's.

    voxels             (n,), inside the brain, scanner units
    template_centres   (3,), in units of a subject's mean inside the mask, rising
    map                "piecewise": straight from centre to centre, the end pieces drawn on;
                       "smooth": along the parabola through the three pairs, then straight on;
                       "line": the least-squares line through the three pairs

    Step 1 is left out, with the reason, where a class is too small, two centres are nearly equal,
    or the map would not rise.

    Source   Galassi 2019, "k-means standardization". Chosen: the piecewise map (a line followed by
             a z-score on the same mask equals the z-score alone, so the template would have no
             effect), the smooth one (a corner inside a tissue's peak is a step in its histogram,
             and moves the peak), `SMALLEST_SHARE`, `SMALLEST_GAP`, and the template of relative
             centres.
    """
    classes = intensity_classes(voxels)
    reason = why_not_mapped(classes, template_centres)
    if reason is not None:
        return Mapped(voxels, reason)
    return Mapped(CARRIED[map](voxels, classes.centres, template_centres), None)


def why_not_mapped(classes: IntensityClasses, template_centres: Centres) -> str | None:
    """What keeps the classes from being mapped, in words, or None."""
    smallest = int(np.argmin(classes.shares))
    if classes.shares[smallest] < SMALLEST_SHARE:
        return (
            f"intensity class {smallest + 1} of 3 holds {classes.shares[smallest]:.2%} of the "
            f"voxels in the brain mask, fewer than {SMALLEST_SHARE:.0%}"
        )
    gaps = np.diff(classes.centres) / classes.mean
    if gaps.min() < SMALLEST_GAP:
        return (
            f"two intensity classes lie {gaps.min():.2%} of the mean apart, "
            f"less than {SMALLEST_GAP:.0%}"
        )
    if not np.all(np.diff(template_centres) > 0):
        return f"the template's centres {template_centres.tolist()} do not rise"
    return None


def _along_line(voxels: Voxels, centres: Centres, template_centres: Centres) -> Voxels:
    from_mean = centres - centres.mean()
    slope = np.dot(from_mean, template_centres) / np.dot(from_mean, from_mean)
    mapped: Voxels = template_centres.mean() + slope * (voxels - centres.mean())
    return mapped


CARRIED = {"piecewise": piecewise, "smooth": smooth, "line": _along_line}
