"""Names for the arrays that the whole project passes on: kind and precision, any shape."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
IndexArray = npt.NDArray[np.intp]
FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
