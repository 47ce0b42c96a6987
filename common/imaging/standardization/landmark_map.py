"""One intensity scale mapped to another, landmark to landmark."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicHermiteSpline

from common.arrays import FloatArray
from common.imaging.standardization.brain_voxels import Voxels

Landmarks = FloatArray
"""(k,), rising: intensities that mean the same in every image, such as three class centres."""


@dataclass(frozen=True, slots=True, eq=False)
class Mapped:
    """Step 1's result.

    voxels     (n,), on the template's scale; the voxels as they came where step 1 was left out
    left_out   why step 1 was left out; None where it was done
    """

    voxels: Voxels
    left_out: str | None


def piecewise(voxels: Voxels, landmarks: Landmarks, template: Landmarks) -> Voxels:
    """The intensities with each landmark mapped to the template's, the end pieces drawn on.

    voxels                (n,), in the image's units
    landmarks, template   (k,), k of 2 or more, both rising
    returns               (n,), on the template's scale
    """
    slopes = np.diff(template) / np.diff(landmarks)
    starts = template[:-1] - slopes * landmarks[:-1]
    piece = np.searchsorted(landmarks[1:-1], voxels, side="right")
    mapped: Voxels = starts[piece] + slopes[piece] * voxels
    return mapped


def smooth(voxels: Voxels, landmarks: Landmarks, template: Landmarks) -> Voxels:
    """As `piecewise` without its corners: through three landmarks, the parabola.

    Each landmark's slope is that of the parabola through it and its neighbours (at an end, through
    the last three), but a third to three times that of the flatter straight piece that ends there,
    so that the map rises everywhere. Past the ends it goes straight on.

    Source   the bound of three: Fritsch and Carlson 1980 (doi 10.1137/0717021). Chosen: the
             parabola, as the plainest curve that is no line, and the lower bound.
    """
    widths = np.diff(landmarks)
    pieces = np.diff(template) / widths
    bend = np.diff(pieces) / (widths[:-1] + widths[1:])
    inner = pieces[:-1] + bend * widths[:-1]
    ends = pieces[0] - bend[0] * widths[0], pieces[-1] + bend[-1] * widths[-1]
    flatter = np.minimum(np.insert(pieces, 0, pieces[0]), np.append(pieces, pieces[-1]))
    slopes = np.clip([ends[0], *inner, ends[1]], flatter / 3, 3 * flatter)
    curve = CubicHermiteSpline(landmarks, template, slopes)
    within = np.clip(voxels, landmarks[0], landmarks[-1])
    beyond = voxels - within
    mapped: Voxels = curve(within) + np.where(beyond < 0, slopes[0], slopes[-1]) * beyond
    return mapped
