"""An image with its scanner noise reduced: non-local means."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from common.arrays import Float32Array, FloatArray
from common.errors import SiteDataError
from common.imaging.volume import Volume, require_same_grid

Shift = tuple[int, int, int]

SEARCH_MM = 2.2
"""How far along each axis a voxel looks for others like it."""
MOST_STEPS = 3
"""Voxels along one axis that this may be, in a fine plane."""
PATCH_STEPS = 1
"""A voxel is compared with its neighbours: patches of 3 voxels along each axis."""
THICK_MM = 2.0
"""Along an axis with thicker voxels a voxel looks nowhere: the next slice shows something else."""
STRENGTH = 0.5
"""Decay of the weights, in units of the noise's variance."""
MARGIN_MM = 8.0
"""Around the brain this much is denoised as well; what lies farther stays as it is."""
NORMAL_MAD = 0.6744897501960817
"""Median of |x| where x is normal with standard deviation 1."""


def denoised(image: Volume, brain: Volume | None = None) -> Volume:
    """The image with its noise reduced and its edges kept, float32 on the same grid.

    image   (i, j, k), finite, in scanner units: before any z-score
    brain   bool on the image's grid: the noise is measured inside it, and only its surroundings are
            denoised. Without one, everything is

    Each voxel becomes the mean over the voxels nearby, weighted by exp(-d / (h sigma^2)): d is the
    mean squared difference of the two patches less 2 sigma^2, at least 0. The squares are averaged
    and 2 sigma^2 taken off, for noise adds that much to a magnitude image's square.

    Source   Buades et al. 2005, doi:10.1137/040616024; the patch distances of a shift by one box
             filter, Darbon et al. 2008, doi:10.1109/ISBI.2008.4541250; the squares, Wiest-Daessle
             et al. 2008, doi:10.1007/978-3-540-85990-1_21. Chosen: every constant above, the
             voxel's own weight 1, and this method over others: docs/adr/0018.
    """
    if not np.isfinite(image.data).all():
        raise SiteDataError(
            "denoising: want a finite number in every voxel, found NaN or infinity. Export the "
            "image again; where the scanner gave no value, 0 belongs."
        )
    if brain is not None:
        require_same_grid(brain, image, a_name="the brain mask", b_name="the image")
    sigma = noise_level(image, brain)
    result = image.data.astype(np.float32)
    if sigma > 0:
        box = _box(image, brain)
        # squares of very large or small values leave single precision; a power of 2 is exact
        power = math.frexp(float(np.abs(image.data).max()))[1]
        seen = np.ldexp(np.maximum(result[box], 0), -power).astype(np.float32, copy=False)
        less = _non_local_means(seen, math.ldexp(sigma, -power), image.spacing_mm)
        result[box] = np.where(result[box] < 0, result[box], np.ldexp(less, power))
    return Volume(result, image.affine)


def noise_level(image: Volume, brain: Volume | None = None) -> float:
    """Standard deviation of the noise, in the image's units; 0 where none can be seen.

    brain   bool on the image's grid: measured there, else where the image is above half its mean

    From the differences across the diagonals of 2 x 2 voxels in the plane of the two finest axes,
    (a - b - c + d) / 2: smooth signal cancels in them, and their median absolute value hardly sees
    edges. Where the scanner interpolated, neighbours share noise and the level comes out too low,
    so that too little is done rather than too much.

    Source   Donoho & Johnstone 1994, doi:10.1093/biomet/81.3.425, on the finest diagonal Haar
             wavelets. Chosen: all 2 x 2 squares, not every second.
    """
    head = image.data > image.data.mean() / 2
    inside = head if brain is None else brain.data.astype(np.bool_)
    first, second = np.sort(np.argsort(image.spacing_mm, kind="stable")[:2])
    values = image.data.astype(np.float32)
    differences = np.diff(np.diff(values, axis=first), axis=second) / 2
    for axis in (first, second):
        ahead = np.take(inside, range(1, inside.shape[axis]), axis=axis)
        inside = np.take(inside, range(inside.shape[axis] - 1), axis=axis) & ahead
    if not inside.any():
        return 0.0
    return float(np.median(np.abs(differences[inside]))) / NORMAL_MAD


def _non_local_means(image: Float32Array, sigma: float, spacing_mm: FloatArray) -> Float32Array:
    thick = spacing_mm > THICK_MM
    patch = [1 if t else 2 * PATCH_STEPS + 1 for t in thick]
    reach = np.where(thick, 0, np.clip(np.floor(SEARCH_MM / spacing_mm), 1, MOST_STEPS)).astype(int)
    scale = np.float32(-1 / (STRENGTH * sigma**2))
    squares = np.square(image)
    total, weights = squares.copy(), np.ones_like(image)
    for shift in _half_of_the_shifts(reach):
        here, there = _overlap(shift, image.shape)
        distance = np.square(image[here] - image[there])
        for axis, n in enumerate(patch):
            ndimage.uniform_filter1d(distance, n, axis, output=distance, mode="nearest")
        distance -= np.float32(2 * sigma**2)
        np.maximum(distance, 0, out=distance)
        distance *= scale
        weight = np.exp(distance, out=distance)
        weights[here] += weight
        weights[there] += weight
        total[here] += weight * squares[there]
        total[there] += weight * squares[here]
    total /= weights
    total -= np.float32(2 * sigma**2)
    return np.sqrt(np.maximum(total, 0, out=total))


def _half_of_the_shifts(reach: npt.NDArray[np.int_]) -> Iterator[Shift]:
    """One of each pair of opposite shifts within the reach; the weight is the same both ways."""
    for i, j, k in itertools.product(*(range(-n, n + 1) for n in reach)):
        if (i, j, k) > (0, 0, 0):
            yield i, j, k


def _overlap(shift: Shift, shape: tuple[int, ...]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The voxels whose partner at `shift` lies in the image, and the partners."""
    here = tuple(slice(max(0, -s), n - max(0, s)) for s, n in zip(shift, shape, strict=True))
    there = tuple(slice(max(0, s), n - max(0, -s)) for s, n in zip(shift, shape, strict=True))
    return here, there


def _box(image: Volume, brain: Volume | None) -> tuple[slice, ...]:
    """The brain's box with its margin; everything without a brain."""
    if brain is None or not brain.data.any():
        return tuple(slice(0, n) for n in image.data.shape)
    margin = [math.ceil(MARGIN_MM / mm) for mm in image.spacing_mm]
    box = ndimage.find_objects(brain.data.astype(np.uint8))[0]
    return tuple(slice(max(0, s.start - n), s.stop + n) for s, n in zip(box, margin, strict=True))
