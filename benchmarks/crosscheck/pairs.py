"""Makes the random mask pairs of the cross-check.

    python -m benchmarks.crosscheck.pairs PAIRS.npz

Every pair has its own spacing, and a prediction made from its reference as networks err: lesions
grown, shrunk, shifted, missed, split, merged and made up. In every second pair lesions may touch
the edge of the image, where definitions differ. No mask is empty.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from scipy import ndimage

from common.arrays import BoolArray, FloatArray
from common.seeds import derived_seed

N_PAIRS = 200
SHAPE = (40, 48, 32)
SEED = 20160921
SPACINGS_MM = (
    (0.5, 0.5, 1.1),
    (1.0, 1.0, 3.0),
    (0.94, 0.94, 1.5),
    (0.7, 1.3, 2.0),
    (1.0, 1.0, 1.0),
)


def main(argv: list[str]) -> int:
    """Writes the pairs: `references` and `predictions` (n, i, j, k), `spacings_mm` (n, 3)."""
    pairs = [random_pair(number) for number in range(N_PAIRS)]
    references, predictions, spacings_mm = (np.stack(each) for each in zip(*pairs, strict=True))
    np.savez_compressed(
        Path(argv[0]), references=references, predictions=predictions, spacings_mm=spacings_mm
    )
    return 0


def random_pair(number: int) -> tuple[BoolArray, BoolArray, FloatArray]:
    """Pair `number`: reference and prediction, (i, j, k), and the spacing, mm."""
    rng = np.random.default_rng(derived_seed(SEED, "crosscheck", number))
    reference, prediction = np.zeros(SHAPE, dtype=np.bool_), np.zeros(SHAPE, dtype=np.bool_)
    for _ in range(rng.integers(2, 12)):
        lesion = ellipsoid(rng)
        reference |= lesion
        prediction |= found_as(lesion, rng)
    for _ in range(rng.integers(0, 4)):
        prediction |= ellipsoid(rng)  # a false one, or one that merges two
    if number % 2:
        inside = np.zeros(SHAPE, dtype=np.bool_)
        inside[1:-1, 1:-1, 1:-1] = True
        reference &= inside
        prediction &= inside
    for mask in (reference, prediction):
        if not mask.any():
            mask[tuple(rng.integers(5, 20, 3))] = True
    return reference, prediction, np.array(SPACINGS_MM[number % len(SPACINGS_MM)])


def ellipsoid(rng: np.random.Generator) -> BoolArray:
    """One lesion of 1 to some 1400 voxels with its centre anywhere in the image."""
    centre = rng.uniform(0, np.array(SHAPE) - 1)
    radii = rng.uniform(0.8, 7.0) * rng.uniform(0.6, 1.0, size=3)
    distance = sum(
        ((axis - middle) / radius) ** 2
        for axis, middle, radius in zip(np.indices(SHAPE), np.rint(centre), radii, strict=True)
    )
    return np.asarray(distance <= 1)


def found_as(lesion: BoolArray, rng: np.random.Generator) -> BoolArray:
    """What a network might make of `lesion`."""
    kind = rng.choice(["same", "grown", "shrunk", "shifted", "split", "missed"])
    if kind == "grown":
        return np.asarray(ndimage.binary_dilation(lesion))
    if kind == "shrunk":
        return np.asarray(ndimage.binary_erosion(lesion, border_value=1))
    if kind == "shifted":
        return np.asarray(
            ndimage.shift(lesion.astype(np.uint8), rng.integers(-2, 3, 3), order=0) > 0
        )
    if kind == "split":
        middle = round(float(np.argwhere(lesion)[:, 0].mean()))
        halves = lesion.copy()
        halves[middle] = False
        return halves
    return np.zeros_like(lesion) if kind == "missed" else lesion


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
