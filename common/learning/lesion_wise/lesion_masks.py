"""Binary lesion masks to make training pairs from: synthetic, or cut from a folder."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from common.arrays import BoolArray, FloatArray
from common.errors import SiteDataError
from common.imaging.bids_name import raw_label
from common.imaging.orientation import upright
from common.imaging.volume import read_mask

Shape = tuple[int, int, int]

MOST_LESIONS = 12
MEDIAN_VOXELS = 60.0
LOG_SPREAD = 0.9
FEWEST_VOXELS, MOST_VOXELS = 4.0, 1500.0
HELD_OUT_SHARE = 0.1
"""Of a folder's subjects."""


def synthetic_masks(n: int, *, patch_shape: Shape, seed: int) -> BoolArray:
    """`n` patches with 0 to 12 synthetic lesions, (n, i, j, k).

    Chosen   the number of lesions is even over 0 to 12. A lesion is an ovoid, its axes up to twice
             as long as each other, turned at random, its border moved by smooth noise.
             Volumes are log-normal: median 60 voxels, spread 0.9 in the logarithm, limited to 4 to
             1500 voxels; at 1 mm, what new lesions measure. Two that touch become one.
    """
    random = np.random.default_rng(seed)
    masks = np.zeros((n, *patch_shape), dtype=np.bool_)
    for mask in masks:
        for _ in range(int(random.integers(0, MOST_LESIONS + 1))):
            centre = random.uniform(0, patch_shape)
            _draw(mask, drawn_lesion(random), centre)
    return masks


def drawn_lesion(random: np.random.Generator) -> BoolArray:
    """One ovoid with a ragged border in a box of its own, never empty."""
    volume = float(np.exp(random.normal(math.log(MEDIAN_VOXELS), LOG_SPREAD)))
    radius = (min(max(volume, FEWEST_VOXELS), MOST_VOXELS) * 3 / (4 * math.pi)) ** (1 / 3)
    stretch = np.exp(random.uniform(-math.log(2) / 2, math.log(2) / 2, 3))
    radii = radius * stretch / np.prod(stretch) ** (1 / 3)
    turn, _ = np.linalg.qr(random.standard_normal((3, 3)))
    half = math.ceil(1.3 * float(radii.max()))
    axis = np.arange(-half, half + 1, dtype=np.float64)
    offset = random.uniform(-0.5, 0.5, 3)
    places = np.stack(np.meshgrid(*(axis + o for o in offset), indexing="ij"), axis=-1)
    distance = np.linalg.norm(places @ turn / radii, axis=-1)
    noise = ndimage.gaussian_filter(random.standard_normal(distance.shape), 1.0)
    ragged: BoolArray = distance + 0.2 * noise / noise.std() < 1
    ragged[half, half, half] = True
    return ragged


def masks_from_folder(
    folder: Path, *, patch_shape: Shape, n: int, n_held_out: int, seed: int
) -> tuple[BoolArray, BoolArray]:
    """`n` patches cut from the masks in a folder, (n, i, j, k), and `n_held_out` of other masks.

    folder   every `*.nii` and `*.nii.gz` in it and below is a mask, true where its label is above 0
    Chosen   a tenth of the masks, at least one, drawn by the seed, is held out before anything is
             cut; files whose names begin with the same `sub-` label stay together. Masks take
             turns; a patch lies anywhere around a random lesion voxel of its mask, so that it
             holds it. Masks stay on the grid they are on: give them at the recipe's spacing. What
             lies beyond the image is background.
    SiteDataError where there are not two masks with a lesion, of two subjects, or one cannot be
    read.
    """
    paths = sorted(path for ending in ("nii", "nii.gz") for path in folder.rglob(f"*.{ending}"))
    groups: dict[str, list[BoolArray]] = defaultdict(list)
    for path in paths:
        mask = np.ascontiguousarray(upright(read_mask(path)).data)
        if mask.any():
            subject = raw_label("sub", path.name)
            groups[str(path) if subject is None else f"sub-{subject}"].append(mask)
    if not groups:
        raise SiteDataError(
            f"{folder}: want NIfTI masks with lesions, found {len(paths)} NIfTI files and no "
            "lesion in them. Name a folder with binary lesion masks (*.nii or *.nii.gz)."
        )
    if len(groups) == 1:
        raise SiteDataError(
            f"{folder}: want masks with lesions of at least two subjects, so that what is learned "
            f"from one is judged on another; found those of {next(iter(groups))} alone. Add masks, "
            "or leave the folder out: then masks are drawn."
        )
    random = np.random.default_rng(seed)
    shuffled = [list(groups.values())[index] for index in random.permutation(len(groups))]
    n_groups = max(1, round(HELD_OUT_SHARE * len(groups)))
    ours, others = (
        [mask for group in part for mask in group]
        for part in (shuffled[n_groups:], shuffled[:n_groups])
    )
    return (
        _cut_in_turn(ours, n, patch_shape=patch_shape, random=random),
        _cut_in_turn(others, n_held_out, patch_shape=patch_shape, random=random),
    )


def _cut_in_turn(
    masks: Sequence[BoolArray], n: int, *, patch_shape: Shape, random: np.random.Generator
) -> BoolArray:
    voxels = [np.argwhere(mask) for mask in masks]
    patches = np.zeros((n, *patch_shape), dtype=np.bool_)
    for number, patch in enumerate(patches):
        of_mask = number % len(masks)
        held = random.choice(voxels[of_mask])
        start = held - random.integers(0, patch_shape)
        _draw_box(patch, masks[of_mask], -start)
    return patches


def _draw(mask: BoolArray, lesion: BoolArray, centre: FloatArray) -> None:
    """Adds the lesion's box to the mask, its middle at `centre`; what juts out is cut off."""
    _draw_box(mask, lesion, np.round(centre).astype(int) - np.array(lesion.shape) // 2)


def _draw_box(mask: BoolArray, box: BoolArray, start: NDArray[np.int_]) -> None:
    there, here = overlap_of_boxes(mask.shape, box.shape, start)
    mask[there] |= box[here]


def overlap_of_boxes(
    patch: tuple[int, ...], box: tuple[int, ...], start: NDArray[np.int_]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Where a box put at `start` lies in the patch, and which part of the box that is."""
    low = np.clip(start, 0, patch)
    high = np.clip(start + np.array(box), 0, patch)
    there = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    here = tuple(slice(int(a - s), int(b - s)) for a, b, s in zip(low, high, start, strict=True))
    return there, here
