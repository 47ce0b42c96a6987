"""When a stored value counts as a whole number."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

WHOLE_TOLERANCE = 1e-4
"""A value this close to a whole number is that number: 0 and 255 with a float32 slope of 1/255, as
SPM writes masks, become 1.00000006, and a resampled 1 becomes 0.9999999."""


def nearly_whole(values: NDArray[Any], whole: NDArray[Any]) -> bool:
    """Whether no value is farther than WHOLE_TOLERANCE from its rounded one.

    values, whole   of one shape, finite; the values, and the values rounded

    Where rounding leaves nothing but 0 of values that are not, they are no labels: a mask of 0 and
    1 whose slope is 1/65535 would be empty.
    """
    if np.array_equal(values, whole):
        return True
    if not whole.any():
        return False
    return bool(np.abs(values - whole).max() <= WHOLE_TOLERANCE)
