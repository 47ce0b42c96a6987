"""The weighted variance of arrays that come one at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray


class WeightedVariance:
    """sum of w_k (x_k - m)^2 / sum of w_k, where m is the weighted mean of the x_k, in float64.

    Source   West 1979, Communications of the ACM 22 (9): mean and squares are brought up to date
             with each array, so that large means cancel nothing and no result is below 0.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._mean: FloatArray = np.zeros(shape)
        self._squares: FloatArray = np.zeros(shape)
        self._weight = 0.0

    def add(self, array: npt.NDArray[np.generic], weight: float) -> None:
        """Counts one more array of the shape; a weight below 0 takes off one counted before."""
        together = self._weight + weight
        distance = array.astype(np.float64) - self._mean
        self._mean = self._mean + distance * (weight / together)
        self._squares = self._squares + np.square(distance) * (weight * (self._weight / together))
        self._weight = together

    def result(self) -> FloatArray:
        """The variance; 0 of a single array."""
        assert self._weight > 0, "nothing was added"
        return np.maximum(self._squares, 0) / self._weight  # rounding, where one was taken off
