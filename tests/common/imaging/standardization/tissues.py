"""A brain of three tissues in boxes, and scanners that see it with their own gain and gamma."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

from common.arrays import BoolArray, FloatArray, IntArray

Array = FloatArray
Mask = BoolArray

CSF, GREY, WHITE = 1, 2, 3
BRIGHTNESS = {CSF: 0.25, GREY: 0.6, WHITE: 0.9}


def nine_voxels() -> tuple[Array, Mask]:
    """Three tight groups with centres 2, 10 and 18, mean 10; one bright voxel outside the brain."""
    image = np.array([[[1.0, 9.0, 17.0, 500.0, 10.0]], [[2.0, 3.0, 18.0, 19.0, 11.0]]])
    return image, image < 100


def tissue_labels() -> IntArray:
    """(24, 30, 18): 20 % CSF, 40 % grey, 40 % white matter, one voxel of background around."""
    labels = np.zeros((24, 30, 18), dtype=np.int64)
    slabs = np.repeat([CSF, GREY, GREY, WHITE, WHITE], 22 * 28 * 16 // 5 + 1)
    labels[1:-1, 1:-1, 1:-1] = slabs[: 22 * 28 * 16].reshape(22, 28, 16)
    return labels


def scan(labels: IntArray, *, gamma: float, gain: float, seed: int) -> Array:
    """The labels' brightness with 6 % tissue texture, to the power `gamma`, times `gain`."""
    texture = np.random.default_rng(seed).normal(0, 0.06, labels.shape)
    bright = np.select([labels == tissue for tissue in BRIGHTNESS], list(BRIGHTNESS.values()))
    seen: Array = gain * np.clip(bright + texture, 0.01, None) ** gamma * (labels > 0)
    return seen


def mode(values: npt.NDArray[np.floating]) -> float:
    """The middle of the fullest of 256 smoothed bins between the 1st and 99th percentile."""
    counts, edges = np.histogram(values, 256, np.percentile(values, [1, 99]))
    fullest = np.argmax(gaussian_filter1d(counts.astype(float), 8.0))
    return float(edges[fullest : fullest + 2].mean())
