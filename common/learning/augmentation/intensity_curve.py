"""A random curve from one scanner's intensities to another's, which keeps their order."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from common.arrays import Float32Array, FloatArray

T = TypeVar("T", np.float32, np.float64)

KNOTS = np.arange(-4.0, 6.0)
"""Where the curve's slope may change, in z: the range of a standardized brain and its lesions. The
first and the last slope go on beyond."""

MOST_TILT = 0.25
"""The logarithm of the slope rises or falls by at most so much from one z to the next: as a gamma
above or below 1 would have it."""

SLOPE_SPREAD = 0.25
"""Standard deviation of the logarithm of each slope beside the tilt."""

SLOPES = (0.4, 2.5)
"""No slope is outside: the curve rises everywhere, and lesions stay brighter than what they are
brighter than."""

_BRAIN = np.linspace(-3, 3, 61)
_DENSITY = np.exp(-(_BRAIN**2) / 2) / np.exp(-(_BRAIN**2) / 2).sum()


def drawn_slopes(random: np.random.Generator) -> FloatArray:
    """A slope for each interval between two knots, and for the two beyond, (n + 1,).

    Source   random contrast against unseen scanners: Zhang et al. 2020 (BigAug), arXiv:1906.03347.
    Chosen   a curve of straight pieces, whose slopes have a common tilt and a part of their own;
             every range above.
    """
    middles = np.arange(len(KNOTS) + 1) + KNOTS[0] - 0.5
    tilt = random.uniform(-MOST_TILT, MOST_TILT)
    own = random.normal(0, SLOPE_SPREAD, len(middles))
    slopes: FloatArray = np.clip(np.exp(tilt * middles + own), *SLOPES)
    return slopes


def along_curve(image: Float32Array, slopes: FloatArray) -> Float32Array:
    """The image after the curve of these slopes, any shape.

    slopes   (n + 1,), each above 0

    The curve is moved and scaled so that values with the mean 0 and the deviation 1 of a normal
    distribution have them again: the z-score of an image of another contrast would do the same.
    """
    values = _on_curve(_BRAIN, slopes)
    mean = float(_DENSITY @ values)
    deviation = float(np.sqrt(_DENSITY @ (values - mean) ** 2))
    return _on_curve(image, slopes / deviation, start=-mean / deviation)


def _on_curve(z: npt.NDArray[T], slopes: FloatArray, *, start: float = 0.0) -> npt.NDArray[T]:
    """The curve that is `start` at the first knot, as a line and a bend at each knot."""
    kind = z.dtype.type
    found = (z - kind(KNOTS[0])) * kind(slopes[0]) + kind(start)
    bend = np.empty_like(z)
    for knot, change in zip(KNOTS, np.diff(slopes), strict=True):
        np.maximum(np.subtract(z, kind(knot), out=bend), 0, out=bend)
        bend *= kind(change)
        found += bend
    return found
