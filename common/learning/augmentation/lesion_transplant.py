"""Lesions drawn into patches that have none."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from common.arrays import BoolArray, Float32Array, FloatArray

PROBABILITY = 0.5
"""Of a patch without a lesion to get some."""
MOST_LESIONS = 4
"""A patch that gets some gets 1 to so many."""
VOLUME_VOXELS = (2.0, 800.0)
"""Volume of a lesion, each order of magnitude as likely."""
BRIGHTER = (0.7, 2.0)
"""FLAIR inside a lesion less that of the white matter about it, in standard deviations over the
brain."""
DARKER = (0.1, 1.5)
"""The same for the T1w, the other way round."""
FLUID = (1.2, 2.0)
"""So many standard deviations below white matter, in FLAIR and in T1w, no lesion is painted."""
WHITE = 0.3
"""White matter's T1w is above this, in standard deviations over the brain; grey matter's is not."""
BLOCK = 2
"""Voxels along each axis that are averaged to look for white matter: for speed."""
FEWEST = 8
"""Blocks of white matter without which a patch stays as it is."""


def with_transplanted_lesions(
    images: Float32Array, lesions: BoolArray, random: np.random.Generator
) -> tuple[Float32Array, BoolArray]:
    """Both, with probability one half with drawn lesions where the patch has none; else unchanged.

    images    (C, i, j, k), z-scores, 0 outside the brain; first the FLAIR, then, if any, the T1w. A
              T1w of zeros alone is one that the case lacks: it stays so
    lesions   (R, i, j, k); a drawn lesion is in all of them, where at least half a voxel is lesion
    Source    the contrast: `python -m benchmarks.lesion_contrast`, two patients of one scanner,
              whose lesions are 0.9 to 1.8 standard deviations brighter in FLAIR and 0.3 to 1.1
              darker in T1w; the ranges here are wider on both sides.
    Chosen    ovoids with ragged, soft borders. Their middle lies where the image is smooth: in the
              half of the patch that varies least within 10 voxels, not in fluid, and where the
              T1w is bright. The image's noise stays. No lesion of a real case is
              used, so that none can be of a patient who is judged.
    """
    if lesions.any() or random.random() >= PROBABILITY:
        return images, lesions
    n_present = len(images) if images[-1].any() else 1
    centres = _white_matter(images[:n_present])
    if len(centres) < FEWEST:
        return images, lesions
    images, lesions = images.copy(), lesions.copy()
    for _ in range(int(random.integers(1, MOST_LESIONS, endpoint=True))):
        centre = centres[random.integers(len(centres))]
        _paint(images[:n_present], lesions, centre, random)
    return images, lesions


def _white_matter(images: Float32Array) -> FloatArray:
    """Voxels, (n, 3), that white matter surrounds as far as the patch tells."""
    blocks = _block_means(images)
    brain = ndimage.uniform_filter((blocks != 0).all(axis=0).astype(np.float32), 5) > 0.999
    if not brain.any():
        return np.zeros((0, 3))
    mean = ndimage.uniform_filter(blocks[0], 5)
    square = ndimage.uniform_filter(np.square(blocks[0]), 5)
    varies = square - np.square(mean)
    white = brain & (varies <= np.median(varies[brain]))
    white &= mean > np.median(mean[brain]) - FLUID[0] / 2
    if len(blocks) > 1:
        white &= ndimage.uniform_filter(blocks[1], 3) > WHITE
    return np.asarray(np.argwhere(white) * BLOCK + BLOCK / 2)


def _block_means(images: Float32Array) -> Float32Array:
    """(C, i, j, k), means over blocks of BLOCK voxels a side, which fill the patch from its start.

    A sum of eight thinned copies: five times as fast as a mean over axes.
    """
    n = [side // BLOCK * BLOCK for side in images.shape[1:]]
    means = np.zeros((len(images), *(side // BLOCK for side in n)), np.float32)
    for i, j, k in np.ndindex(BLOCK, BLOCK, BLOCK):
        means += images[:, i : n[0] : BLOCK, j : n[1] : BLOCK, k : n[2] : BLOCK]
    means /= BLOCK**3
    return means


def _paint(
    images: Float32Array, lesions: BoolArray, centre: FloatArray, random: np.random.Generator
) -> None:
    """One lesion about `centre`, into both arrays, or neither where the tissue has no room."""
    low, high = np.log(VOLUME_VOXELS)
    radius = float(np.cbrt(0.75 / np.pi * np.exp(random.uniform(low, high))))
    stretch = np.exp(0.25 * random.standard_normal(3))
    reach = int(np.ceil(1.9 * radius)) + 2
    at = [int(c) for c in centre]
    box = tuple(
        slice(max(0, c - reach), min(n, c + reach + 1))
        for c, n in zip(at, images.shape[1:], strict=True)
    )
    position = np.meshgrid(
        *(np.arange(s.start, s.stop) - c for s, c in zip(box, at, strict=True)), indexing="ij"
    )
    relative = np.sqrt(
        sum(np.square(p / (radius * s)) for p, s in zip(position, stretch, strict=True))
    )
    ragged = 1.0 + 0.3 * min(1.0, radius / 2.5) * _smooth_noise(relative.shape, random)
    share = np.clip(0.5 - (relative * ragged - 1.0) * radius / 1.1, 0.0, 1.0)
    middle = tuple(c - s.start for c, s in zip(at, box, strict=True))
    share[middle] = max(share[middle], 0.75)  # the smallest lesion is one voxel
    seen = images[(slice(None), *box)]
    level = [_level(channel, relative) for channel in seen]
    inside = (seen != 0).all(axis=0)
    share *= inside
    for channel, about, fluid in zip(seen, level, FLUID, strict=False):
        share *= np.clip((channel - about + fluid) * 2.0, 0.0, 1.0)
    if share[middle] < 0.5:  # no lesion shows that the reference would lack
        return
    share = _one_lesion(share, middle)
    moves = (random.uniform(*BRIGHTER), -random.uniform(*DARKER))
    for channel, about, move in zip(seen, level, moves, strict=False):
        smooth = ndimage.gaussian_filter(channel, 1.0)
        painted = channel + share * (about + move - smooth)
        channel[...] = np.where(share > 0, painted, channel)
    lesions[(slice(None), *box)] |= share >= 0.5


def _one_lesion(share: FloatArray, middle: tuple[int, ...]) -> FloatArray:
    """`share` with the lesion at `middle` and its soft border alone: no specks around it."""
    parts, _ = ndimage.label(share >= 0.5, structure=np.ones((3, 3, 3)))
    own = parts == parts[middle]
    bordering = ndimage.binary_dilation(own, iterations=2)
    return np.where(own, share, np.minimum(share, 0.45) * bordering)


def _level(channel: Float32Array, relative: FloatArray) -> float:
    """The image's brightness about the lesion: the median within its ovoid's double size."""
    near = channel[relative < 2.0]
    return float(np.median(near[near != 0]))


def _smooth_noise(shape: tuple[int, ...], random: np.random.Generator) -> FloatArray:
    """(i, j, k), standard deviation about 1 or less, linear between knots 4 voxels apart."""
    noise: FloatArray = random.standard_normal([n // 4 + 2 for n in shape])
    for axis, n in enumerate(shape):
        at = np.arange(n) / 4
        low = at.astype(np.intp)
        weight = (at - low).reshape([-1 if a == axis else 1 for a in range(3)])
        noise = noise.take(low, axis) * (1 - weight) + noise.take(low + 1, axis) * weight
    return noise
