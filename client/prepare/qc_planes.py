"""Planes through a head in the common space, whatever grid an image lies on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import ndimage

from common.arrays import Float32Array, FloatArray
from common.imaging.volume import Volume

Plane = Float32Array
View = Literal["axial", "coronal", "sagittal"]

NORMAL: dict[View, int] = {"sagittal": 0, "coronal": 1, "axial": 2}
"""View -> the world axis (right, anterior, superior) that it cuts at one place."""

HEIGHTS = (0.3, 0.5, 0.65, 0.8)
"""Where the axial planes lie, as shares of the brain's height from below (chosen)."""

MARGIN_MM = 18.0
"""What is shown around the brain: enough for the scalp."""

STEP_MM = 0.8


@dataclass(frozen=True, slots=True)
class Cut:
    """One plane: the view, and where along its normal, world mm."""

    view: View
    place_mm: float


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """The part of the common space that is shown, and the planes through it.

    low, high   (3,), world mm
    """

    low: FloatArray
    high: FloatArray
    cuts: tuple[Cut, ...]

    def across(self, view: View) -> tuple[int, int]:
        """The world axes that run along the plane's first and second array axis."""
        first, second = (axis for axis in range(3) if axis != NORMAL[view])
        return first, second

    def size_mm(self, view: View) -> tuple[float, float]:
        """Width and height of a panel."""
        first, second = self.across(view)
        return float(self.high[first] - self.low[first]), float(
            self.high[second] - self.low[second]
        )


def window_on(brain: Volume) -> Window:
    """What to show of a case: four axial planes, a coronal and a sagittal one through its brain.

    brain   bool, not empty, in the common space
    """
    indices = np.argwhere(brain.data)
    world = indices @ brain.affine[:3, :3].T + brain.affine[:3, 3]
    low, high = world.min(axis=0), world.max(axis=0)
    centre = world.mean(axis=0)
    axial = [Cut("axial", float(low[2] + share * (high[2] - low[2]))) for share in HEIGHTS]
    beside_the_falx = float(centre[0] - 0.12 * (high[0] - low[0]))
    return Window(
        low - MARGIN_MM,
        high + MARGIN_MM,
        (*axial, Cut("coronal", float(centre[1])), Cut("sagittal", beside_the_falx)),
    )


def plane_of(volume: Volume, to_common: FloatArray, window: Window, cut: Cut) -> Plane:
    """The image in one plane, sampled linearly every `STEP_MM`, 0 where it shows nothing.

    to_common   (4, 4), the image's world -> the common world
    returns     (n, m): along the lower, then the higher world axis of the plane
    """
    first, second = window.across(cut.view)
    along = [np.arange(window.low[axis], window.high[axis], STEP_MM) for axis in (first, second)]
    points = np.empty((4, along[0].size, along[1].size))
    points[first], points[second] = np.meshgrid(*along, indexing="ij")
    points[NORMAL[cut.view]] = cut.place_mm
    points[3] = 1
    to_index = np.linalg.inv(to_common @ volume.affine)
    indices = np.tensordot(to_index[:3], points, axes=1)
    sampled: Plane = ndimage.map_coordinates(
        volume.data.astype(np.float32, copy=False), indices, order=1, cval=0
    )
    return sampled


def checkerboard(one: Plane, other: Plane, *, square_mm: float = 20.0) -> Plane:
    """Squares of `one` and of `other` by turns: an edge that runs on across them is registered."""
    i, j = np.indices(one.shape)
    n = square_mm / STEP_MM
    return np.where(((i // n) + (j // n)) % 2 == 0, one, other)
