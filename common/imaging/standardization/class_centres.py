"""The three intensity classes of a brain: one-dimensional k-means inside the mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.arrays import FloatArray
from common.errors import SiteDataError
from common.imaging.standardization.brain_voxels import BrainMask, Image, Voxels, brain_voxels

Centres = FloatArray

START = np.array([0.3, 0.7, 0.9])
"""Where the centres begin, in units of the mean inside the mask."""

MAX_ITERATIONS = 200


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


def class_centres(image: Image, brain: BrainMask) -> Centres:
    """The three class centres inside the brain, rising, in the image's units.

    image, brain   (i, j, k)
    returns        (3,); the errors are those of `brain_voxels` and `intensity_classes`
    """
    return intensity_classes(brain_voxels(image, brain)).centres


def relative_centres(image: Image, brain: BrainMask) -> Centres:
    """The three class centres divided by the image's own mean inside the brain.

    image, brain   (i, j, k)
    returns        (3,), rising, without unit: a scanner's gain cancels
    """
    classes = intensity_classes(brain_voxels(image, brain))
    return classes.centres / classes.mean


def intensity_classes(voxels: Voxels) -> IntensityClasses:
    """The three classes that Lloyd's k-means finds in the intensities.

    voxels   (n,), inside the brain; a mean of 0 or below is a SiteDataError

    Sorted, a class is a run of voxels between two midpoints and its mean a difference of two
    running sums, so that an iteration costs two binary searches and the result is Lloyd's own.

    Source   Galassi 2019 names k-means standardization and no more. Chosen: k = 3, `START`,
             `MAX_ITERATIONS`, a stop when no centre moves, no rejection of outliers, a voxel
             midway goes to the lower class, an empty class keeps its centre.
    """
    ordered = np.sort(voxels)
    running_sum = np.concatenate([[0.0], np.cumsum(ordered)])
    mean = float(running_sum[-1] / ordered.size)
    if not mean > 0:
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
