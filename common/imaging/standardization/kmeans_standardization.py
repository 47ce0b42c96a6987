"""K-means standardization: a brain's three class centres, and those mapped to the template's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from common.arrays import FloatArray
from common.errors import SiteDataError
from common.imaging.standardization.brain_voxels import BrainMask, Image, Voxels, brain_voxels
from common.imaging.standardization.landmark_map import Mapped, piecewise, smooth

Centres = FloatArray
CentreMap = Literal["piecewise", "smooth", "line"]

START = np.array([0.3, 0.7, 0.9])
"""Where the centres begin, in units of the mean inside the mask."""

MAX_ITERATIONS = 200

SMALLEST_SHARE = 0.01
"""A class with a smaller part of the voxels is not a tissue."""

SMALLEST_MEAN = 0.1
"""A mean below this part of the standard deviation is that of a z-score, which rounding leaves a
little above or below 0. Chosen: scanner intensities of a brain have 2 or more."""

SMALLEST_GAP = 0.01
"""Centres nearer to each other than this part of the mean count as equal."""


@dataclass(frozen=True, slots=True, eq=False)
class IntensityClasses:
    """The result of k-means on one image.

    mean      of all voxels, in the image's units, above 0
    centres   (3,), in the image's units, rising
    shares    (3,), the part of the voxels in each class; they add up to 1
    """

    mean: float
    centres: Centres
    shares: FloatArray


def relative_centres(image: Image, brain: BrainMask) -> Centres:
    """The three class centres divided by the image's own mean inside the brain.

    image, brain   (i, j, k)
    returns        (3,), rising, without unit: a scanner's gain cancels
    """
    classes = intensity_classes(brain_voxels(image, brain))
    return classes.centres / classes.mean


def intensity_classes(voxels: Voxels) -> IntensityClasses:
    """The three classes that Lloyd's k-means finds in the intensities.

    voxels   (n,), inside the brain; a mean of about 0 or below is a SiteDataError

    Sorted, a class is a run of voxels between two midpoints and its mean a difference of two
    running sums, so that an iteration costs two binary searches and the result is Lloyd's own.

    Source   Galassi 2019 names k-means standardization and no more. Chosen: k = 3, `START`,
             `MAX_ITERATIONS`, a stop when no centre moves, no rejection of outliers, a voxel
             midway goes to the lower class, an empty class keeps its centre.
    """
    ordered = np.sort(voxels)
    running_sum = np.concatenate([[0.0], np.cumsum(ordered)])
    mean = float(running_sum[-1] / ordered.size)
    if not mean > SMALLEST_MEAN * float(np.std(voxels)):
        raise SiteDataError(
            f"the mean inside the brain mask is {mean:g}; k-means standardization wants "
            "intensities as they come from the scanner, with a mean above 0. Give the image from "
            'before any z-score, or choose standardization.method = "z-score".'
        )
    centres = START * mean
    for _ in range(MAX_ITERATIONS):
        midpoints = (centres[:-1] + centres[1:]) / 2
        inner = np.searchsorted(ordered, midpoints, side="right")
        edges = np.array([0, *inner, ordered.size])
        n_voxels = np.diff(edges)
        moved = np.where(
            n_voxels > 0, np.diff(running_sum[edges]) / np.maximum(n_voxels, 1), centres
        )
        if np.array_equal(moved, centres):
            break
        centres = moved
    return IntensityClasses(mean, centres, n_voxels / ordered.size)


def map_to_template(voxels: Voxels, template_centres: Centres, *, map: CentreMap) -> Mapped:
    """The intensities with their class centres mapped to the template's.

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
    return Mapped(MAPS[map](voxels, classes.centres, template_centres), None)


def why_not_mapped(classes: IntensityClasses, template_centres: Centres) -> str | None:
    """What keeps the classes from being mapped, or None."""
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


MAPS = {"piecewise": piecewise, "smooth": smooth, "line": _along_line}
