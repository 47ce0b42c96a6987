"""Pairs of a reference and a prediction whose lesion F1 is spread evenly over [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

from common.arrays import BoolArray, Float32Array, IntArray
from common.errors import ConfigError, SiteDataError
from common.learning.lesion_wise.lesion_events import CELL, events_in_cells, true_lesion_f1
from common.learning.lesion_wise.lesion_masks import overlap_of_boxes

ByteArray = NDArray[np.uint8]

N_BINS = 10
FULL = 255
"""What a probability of 1 is stored as."""
SOFT_SHARE = 0.6
"""Share of the pairs whose prediction looks like a half-trained segmenter's; the rest are masks."""
MOST_TRIES = 200
"""Tries for each pair, on average, before a set of masks is rejected."""
MOST_FALSE = 14
_EVERY_CORNER = ndimage.generate_binary_structure(3, 3)
_FACES = ndimage.generate_binary_structure(3, 1)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LesionPairs:
    """Training pairs of the metric network, in the order in which they were made.

    references   (n, i, j, k) uint8: the reference, blurred; 255 is lesion
    predictions  (n, i, j, k) uint8: probability of lesion times 255
    targets      (n,) lesion F1 of the reference's mask and the prediction above 0.5
    events       (n, 4, i/4, j/4, k/4) float16: where the lesions found, missed, confirmed and false
                 lie; their sums are what the target is made of
    """

    references: ByteArray
    predictions: ByteArray
    targets: Float32Array
    events: NDArray[np.float16]

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True, slots=True, eq=False)
class _Placed:
    """A lesion's box and where it begins in the patch."""

    box: BoolArray
    start: IntArray


def generate_pairs(masks: BoolArray, *, n_pairs: int, seed: int) -> LesionPairs:
    """`n_pairs` pairs, as many in each tenth of [0, 1] as whole numbers allow.

    masks    (n, i, j, k): references are drawn from them, and so are the lesions that predictions
             add where there are none
    Stated   targets balanced over [0, 1]; masks blurred by a Gaussian, with small random changes of
             intensity (Kamraoui et al. 2021).
    Chosen   lesions are dropped, added, eroded, dilated, shifted, split and merged as often as a
             drawn lesion F1 asks for; a pair whose tenth is full already is rejected. Blur of 0 to
             0.8 voxels (the reference: none in half of the pairs, else 0 to 0.6), intensity times
             0.85 to 1.15 and 0.05 up or down, cut to [0, 1]. In 60 % of the pairs the prediction
             looks like a half-trained segmenter's instead: see `_soft_prediction`.
             The target always is lesion F1 of the mask before its blur and of the prediction above
             0.5 after all changes.
    SiteDataError where the masks cannot fill every tenth. ConfigError where a side of the patches
    is not a multiple of 4.
    """
    random = np.random.default_rng(seed)
    lesions_by_mask = [_placed_lesions(mask) for mask in masks]
    library = [lesion.box for lesions in lesions_by_mask for lesion in lesions]
    if not library:
        raise SiteDataError(
            f"{len(masks)} masks: want at least one lesion in them, found none. Give masks with "
            "lesions."
        )
    shape = masks.shape[1:]
    if any(n % CELL for n in shape):
        raise ConfigError(
            f"patches of shape {shape}: want three multiples of {CELL}. Change "
            "sampling.patch_shape."
        )
    wanted = np.full(N_BINS, n_pairs // N_BINS)
    wanted[random.permutation(N_BINS)[: n_pairs % N_BINS]] += 1
    references = np.empty((n_pairs, *shape), dtype=np.uint8)
    predictions = np.empty((n_pairs, *shape), dtype=np.uint8)
    targets = np.empty(n_pairs, np.float32)
    events = np.empty((n_pairs, 4, *(n // CELL for n in shape)), np.float16)
    n_made = 0
    for _ in range(MOST_TRIES * max(n_pairs, 1)):
        if n_made == n_pairs:
            break
        aimed_bin = int(random.choice(np.flatnonzero(wanted)))
        aim = (aimed_bin + float(random.random())) / N_BINS
        which = int(random.integers(len(masks)))
        kept, faint = _edited_lesions(
            lesions_by_mask[which], library, shape, aim=aim, random=random
        )
        if random.random() < SOFT_SHARE:
            prediction = _soft_prediction(kept, faint, shape, random)
        else:
            prediction = _blurred_mask(_mask_of(kept, shape), random)
        stored = (prediction * FULL + 0.5).astype(np.uint8)
        target = true_lesion_f1(masks[which], stored > FULL // 2)
        reached = bin_of(target)
        if wanted[reached] == 0:
            continue
        wanted[reached] -= 1
        references[n_made] = _blurred_reference(masks[which], random)
        predictions[n_made] = stored
        targets[n_made] = target
        events[n_made] = events_in_cells(masks[which], stored > FULL // 2)
        n_made += 1
    if n_made < n_pairs:
        raise SiteDataError(
            f"{len(masks)} masks: want pairs in every tenth of lesion F1, could not fill "
            f"{[f'{b / N_BINS:g} to {(b + 1) / N_BINS:g}' for b in np.flatnonzero(wanted)]}. "
            "Give more masks, some of them with several lesions."
        )
    return LesionPairs(
        references=references, predictions=predictions, targets=targets, events=events
    )


def bin_of(lesion_f1: float) -> int:
    """Which tenth of [0, 1] a lesion F1 lies in, from 0; 1 belongs to the last."""
    return min(int(lesion_f1 * N_BINS + 1e-9), N_BINS - 1)


def _placed_lesions(mask: BoolArray) -> list[_Placed]:
    labels, _ = ndimage.label(mask, structure=_EVERY_CORNER)
    return [
        _Placed(labels[where] == number, np.array([s.start for s in where]))
        for number, where in enumerate(ndimage.find_objects(labels), start=1)
    ]


def _edited_lesions(
    lesions: Sequence[_Placed],
    library: Sequence[BoolArray],
    shape: tuple[int, ...],
    *,
    aim: float,
    random: np.random.Generator,
) -> tuple[list[_Placed], list[_Placed]]:
    """Lesions of a prediction whose lesion F1 is near `aim`, and faint ones, below 0.5."""
    n_kept, n_false = _how_many(len(lesions), aim, random)
    order = random.permutation(len(lesions))
    kept: list[_Placed] = []
    faint: list[_Placed] = []
    for number in order[:n_kept]:
        kept.extend(_changed(lesions[number], random))
    if n_kept > 1 and random.random() < 0.15:
        kept.append(_bridge(lesions[order[0]], lesions[order[1]]))
    for number in order[n_kept:]:
        chance = random.random()
        if chance < 0.15:
            kept.append(_beside(lesions[number], random))
        elif chance < 0.6:
            faint.append(lesions[number])
    kept.extend(_anywhere(library, shape, random) for _ in range(n_false))
    faint.extend(_anywhere(library, shape, random) for _ in range(int(random.integers(0, 6))))
    return kept, faint


def _how_many(n_lesions: int, aim: float, random: np.random.Generator) -> tuple[int, int]:
    """How many lesions to keep and how many false ones to add for a lesion F1 near `aim`."""
    if n_lesions == 0:
        return 0, (0 if aim >= 0.5 else int(random.integers(1, 8)))
    if aim < 0.5 / N_BINS or (aim < 1 / N_BINS and random.random() < 0.8):
        return 0, int(random.integers(0, 8))
    sensitivity = float(random.uniform(aim / (2 - aim), 1))
    n_kept = max(_whole(n_lesions * sensitivity, random), 1)
    sensitivity = n_kept / n_lesions
    # 2 s p / (s + p) = aim, solved for p
    ppv = min(aim * sensitivity / max(2 * sensitivity - aim, 1e-6), 1.0)
    return n_kept, min(_whole(n_kept * (1 - ppv) / ppv, random), MOST_FALSE)


def _whole(value: float, random: np.random.Generator) -> int:
    """`value` up or down to a whole number, so that its mean stays."""
    return math.floor(value + random.random())


def _changed(lesion: _Placed, random: np.random.Generator) -> list[_Placed]:
    """A lesion as a segmenter finds it: the same, smaller, larger, moved, or in two parts."""
    way = random.random()
    if way < 0.2:
        return [lesion]
    wide = _Placed(np.pad(lesion.box, 2), lesion.start - 2)
    if way < 0.4:
        smaller = ndimage.binary_erosion(wide.box, _FACES)
        return [_Placed(smaller, wide.start)] if smaller.any() else [lesion]
    if way < 0.6:
        n_layers = int(random.integers(1, 3))
        return [_Placed(ndimage.binary_dilation(wide.box, _FACES, n_layers), wide.start)]
    if way < 0.85:
        reach = max(1, round(0.3 * min(lesion.box.shape)))
        return [_Placed(lesion.box, lesion.start + random.integers(-reach, reach + 1, 3))]
    return _halves(lesion, random)


def _halves(lesion: _Placed, random: np.random.Generator) -> list[_Placed]:
    """The lesion with a gap of one or two voxels across its longest side."""
    axis = int(np.argmax(lesion.box.shape))
    length = lesion.box.shape[axis]
    if length < 4:
        return [lesion]
    gap = int(random.integers(1, 3))
    at = int(random.integers(1, length - gap))
    box = lesion.box.copy()
    np.moveaxis(box, axis, 0)[at : at + gap] = False
    return [_Placed(box, lesion.start)]


def _bridge(one: _Placed, other: _Placed) -> _Placed:
    """A thin bar from the middle of one lesion to that of the other."""
    a, b = (lesion.start + np.array(lesion.box.shape) / 2 for lesion in (one, other))
    n_points = int(np.abs(b - a).max()) + 2
    line = np.round(a + np.linspace(0, 1, n_points)[:, None] * (b - a)).astype(int)
    low = line.min(axis=0)
    box = np.zeros(line.max(axis=0) - low + 2, dtype=np.bool_)
    for i, j, k in line - low:
        box[i : i + 2, j : j + 2, k : k + 2] = True
    return _Placed(box, low)


def _beside(lesion: _Placed, random: np.random.Generator) -> _Placed:
    """The lesion moved along one axis by its own length or a voxel less: a near miss."""
    axis = int(random.integers(3))
    move = np.zeros(3, dtype=np.int_)
    move[axis] = (lesion.box.shape[axis] - int(random.integers(-1, 2))) * random.choice([-1, 1])
    return _Placed(lesion.box, lesion.start + move)


def _anywhere(
    library: Sequence[BoolArray], shape: tuple[int, ...], random: np.random.Generator
) -> _Placed:
    """A lesion of some mask, mirrored at random, its middle anywhere in the patch."""
    box = library[int(random.integers(len(library)))]
    box = box[tuple(slice(None, None, int(step)) for step in random.choice([-1, 1], 3))]
    return _Placed(box, random.integers(0, shape) - np.array(box.shape) // 2)


def _mask_of(lesions: Sequence[_Placed], shape: tuple[int, ...]) -> Float32Array:
    mask = np.zeros(shape, dtype=np.float32)
    for lesion in lesions:
        _raise_to(mask, lesion, 1.0)
    return mask


def _raise_to(field: Float32Array, lesion: _Placed, height: float) -> None:
    there, here = overlap_of_boxes(field.shape, lesion.box.shape, lesion.start)
    np.maximum(field[there], np.float32(height) * lesion.box[here], out=field[there])


def _blurred_mask(mask: Float32Array, random: np.random.Generator) -> Float32Array:
    blurred: Float32Array = ndimage.gaussian_filter(mask, float(random.uniform(0, 0.8)), truncate=3)
    blurred *= np.float32(random.uniform(0.85, 1.15))
    blurred += np.float32(random.uniform(-0.05, 0.05))
    return np.clip(blurred, 0, 1, out=blurred)


def _blurred_reference(mask: BoolArray, random: np.random.Generator) -> ByteArray:
    sharp = mask.astype(np.float32)
    if random.random() < 0.5:
        sharp = ndimage.gaussian_filter(sharp, float(random.uniform(0, 0.6)), truncate=3)
    return (sharp * FULL + 0.5).astype(np.uint8)


def _soft_prediction(
    kept: Sequence[_Placed],
    faint: Sequence[_Placed],
    shape: tuple[int, ...],
    random: np.random.Generator,
) -> Float32Array:
    """Probabilities as a half-trained segmenter gives them, (i, j, k).

    Chosen   a lesion has a certainty of its own, 0.55 to 1, a faint one 0.05 to 0.45; a haze of
             clouds 4 voxels wide; a blur of 0.4 to 1.1 voxels; all sent through a logistic curve
             around 0.5 that is 4 (grey everywhere) to 30 (nearly a mask) steep.
    """
    field = np.zeros(shape, dtype=np.float32)
    for lesion in faint:
        _raise_to(field, lesion, float(random.uniform(0.05, 0.45)))
    for lesion in kept:
        _raise_to(field, lesion, float(random.uniform(0.55, 1)))
    field += _haze(shape, random) * np.float32(random.uniform(0, 0.12))
    field = ndimage.gaussian_filter(field, float(random.uniform(0.4, 1.1)), truncate=3)
    steepness = math.exp(random.uniform(math.log(4), math.log(30)))
    curve: Float32Array = special.expit(np.float32(steepness) * (field - np.float32(0.5)))
    return curve


def _haze(shape: tuple[int, ...], random: np.random.Generator) -> Float32Array:
    """Clouds of 4 voxels, mean 0, spread 1."""
    clouds = random.standard_normal([-(-n // 4) for n in shape], dtype=np.float32)
    for axis in range(3):
        clouds = clouds.repeat(4, axis=axis)
    i, j, k = shape
    return clouds[:i, :j, :k]
