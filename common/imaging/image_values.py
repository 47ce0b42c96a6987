"""What the values of an image say against it, before a step works on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from common.arrays import BoolArray, Float32Array
from common.imaging.brain_mask import box_of, looks_stripped
from common.imaging.volume import Volume

ValueCode = Literal[
    "single-slice",
    "empty-image",
    "zero-brain",
    "range",
    "wrapped",
    "negative",
    "inverted",
    "offset",
    "outliers",
]

CLEARLY_NEGATIVE = 0.05
"""Below zero by more than this part of the bright values, a value is no rounding and no ringing."""

DEEP, FEWEST_DEEP = -0.5, 10
"""So many voxels that lie this part of the bright values below zero are enough."""

SMALLEST_RANGE = 1e-3
"""Part of its largest value over which the values of a brain reach, at least; chosen."""

MANY_NEGATIVE = 0.01
"""Share of the brain that is clearly negative, from which on the image is no magnitude image."""

LARGEST = 1e15
"""No scanner's scale reaches so far; single precision overflows in sums of such values."""

JUMP = 0.7
"""Neighbours that differ by more than this part of the range have wrapped round, where.."""

WRAPPED_SHARE = 2e-4
""".. this share of the neighbours do, and more of them than differ by half as much: in a whole
image large differences are rarer than smaller ones."""

FEWEST_JUMPS = 10
"""So many jumps are enough where they lead to values far below 0."""

BITS = (8, 16)
NEAR_LIMIT = 0.5
NEAR_UNSIGNED_LIMIT = 0.95
"""The brightest value beside those that have wrapped is this part of the largest of its type, such
as 127 or 255 of 8 bits, or more; chosen."""

BRIGHT_CORNERS = 7
"""Corners of the image, of eight, that are brighter than the head in an inverted one, .."""

BRIGHTER = 0.1
""".. by more than this part of the head's range."""

OFFSET = 0.5
"""Part of the head's middle value from which on air is no air. Chosen: in 40 real images it has 0
to 0.02 of it in seven corners."""

FAR_BRIGHTER = 3.0
"""Elsewhere so many times brighter than in its middle and its corners, an image shows air there;
chosen."""

OUTLIER = 100.0
"""A largest value above so many times the bright values of the brain is a damaged voxel."""

_RESCALED = "standardized, scaled or shifted before"


@dataclass(frozen=True, slots=True)
class ValueFault:
    """One thing that is wrong with the values.

    certain   nothing sensible can be computed from them; else somebody should look
    text, fix as of a finding, without the name of the image
    """

    code: ValueCode
    certain: bool
    text: str
    fix: str


def value_faults(
    image: Volume, brain: BoolArray | None, *, of_head: bool = True
) -> list[ValueFault]:
    """What is wrong with an image's values; empty where nothing is.

    brain     (i, j, k); None where it is not known: the voxels of a stripped image that are not
              zero are looked at, else the middle of the image, which in a head is mostly brain
    of_head   False for a spinal cord, whose image need not end in air
    """
    low, high = float(image.data.min()), float(image.data.max())
    if low == high:
        return [_constant("empty-image", f"holds nothing but {low:g}")]
    if 1 in image.data.shape:
        shape = " x ".join(map(str, image.data.shape))
        return [
            ValueFault(
                "single-slice",
                True,
                f"is a single slice ({shape} voxels), no volume",
                "Export the whole series as one volume.",
            )
        ]
    if max(-low, high) > LARGEST:
        return [
            ValueFault(
                "range",
                True,
                f"holds values from {low:g} to {high:g}, which no scanner gives",
                "Export the image again.",
            )
        ]
    if brain is None and looks_stripped(image):
        brain = np.asarray(image.data != 0)
    inside, known = _middle(image) if brain is None else brain, brain is not None
    values = image.data[inside]
    if not values.size:
        return []
    darkest, brightest = float(values.min()), float(values.max())
    if known and brightest - darkest <= SMALLEST_RANGE * max(abs(darkest), abs(brightest)):
        text = f"holds nothing but about {float(values[0]):g} in the brain"
        return [_constant("zero-brain", text)]
    found = [*_wrapped(image, inside)]
    if not any(fault.certain for fault in found):
        found += _negative(image, values, known=known)
    if of_head and not any(fault.certain for fault in found):
        found += _air(image, values)
    return [*found, *_outliers(values)]


def _constant(code: ValueCode, text: str) -> ValueFault:
    return ValueFault(code, True, text, "Export the image again; check that it is no mask.")


def _middle(image: Volume) -> BoolArray:
    """The middle half along each axis, one voxel at least."""
    middle = np.zeros(image.data.shape, np.bool_)
    middle[tuple(slice(n // 4, n - n // 4) for n in image.data.shape)] = True
    return middle


def _wrapped(image: Volume, inside: BoolArray) -> Iterator[ValueFault]:
    """Integers that ran over the end of their type and went on at its other end."""
    box = box_of(inside)
    data, within = image.data[box], inside[box]
    chosen = data[within]
    low, high = float(chosen.min()), float(chosen.max())
    signed, unsigned = _may_have_wrapped(low, high)
    if not (signed or unsigned):
        return
    n_pairs = n_jumps = n_half = 0
    for axis in np.argsort(image.spacing_mm, kind="stable")[:2].tolist():
        ahead = (slice(None),) * axis + (slice(1, None),)
        behind = (slice(None),) * axis + (slice(None, -1),)
        steps = np.abs(data[ahead] - data[behind])[within[ahead] & within[behind]]
        n_large = int(np.count_nonzero(steps > JUMP * (high - low)))
        n_pairs, n_jumps = n_pairs + steps.size, n_jumps + n_large
        n_half += int(np.count_nonzero(steps > JUMP / 2 * (high - low))) - n_large
    fewest = FEWEST_JUMPS if signed else WRAPPED_SHARE * n_pairs
    if n_jumps > max(fewest, n_half):
        yield ValueFault(
            "wrapped",
            signed,
            f"jumps between {low:g} and {high:g} from one voxel to the next in {n_jumps} places: "
            "integers that were too large for their type (16-bit values read as signed, or put "
            "into 8 bits)",
            "Export the image again with a type that holds its values, such as uint16 or float32.",
        )


def _may_have_wrapped(low: float, high: float) -> tuple[bool, bool]:
    """Whether the values may have wrapped as signed, and as unsigned integers.

    Alone this means nothing: 8-bit images are often scaled to all of their range.
    """
    signed = any(
        NEAR_LIMIT * half < high <= half and -half <= low < -CLEARLY_NEGATIVE * half
        for half in (2 ** (bits - 1) for bits in BITS)
    )
    unsigned = any(
        NEAR_UNSIGNED_LIMIT * 2**bits < high < 2**bits and 0 <= low < 0.05 * 2**bits
        for bits in BITS
    )
    return signed, unsigned


def _negative(image: Volume, values: Float32Array, *, known: bool) -> Iterator[ValueFault]:
    bright = float(np.percentile(np.abs(values[::7]), 99))
    share = np.count_nonzero(values < -CLEARLY_NEGATIVE * bright) / values.size
    n_deep = int(np.count_nonzero(values < DEEP * bright))
    if share > MANY_NEGATIVE or n_deep >= FEWEST_DEEP:
        where = "brain" if known else "middle of the image"
        yield ValueFault(
            "negative",
            True,
            f"{100 * share:.3g} % of the {where} is below 0 (mean "
            f"{float(values.mean()):.3g}, smallest {float(values.min()):g}), as in no magnitude "
            f"image: {_RESCALED}",
            "Use the magnitude image as the scanner gave it, from before any z-score.",
        )
    elif n_negative := int(np.count_nonzero(image.data < 0)):
        yield ValueFault(
            "negative",
            False,
            f"{100 * n_negative / image.data.size:.2g} % of the voxels are below 0, the smallest "
            f"{float(image.data.min()):g}: standardized, padded or interpolated before?",
            "Use the magnitude image as the scanner gave it.",
        )


def _air(image: Volume, values: Float32Array) -> Iterator[ValueFault]:
    """Air that is brighter than the head, or nearly as bright."""
    ends = [(slice(0, max(1, n // 20)), slice(n - max(1, n // 20), n)) for n in image.data.shape]
    corners = [
        float(np.median(image.data[first, second, third]))
        for first in ends[0]
        for second in ends[1]
        for third in ends[2]
    ]
    low, middle, high = (float(value) for value in np.percentile(values[::7], (1, 50, 99)))
    bright = middle + BRIGHTER * (high - low)
    n_offset = sum(corner > OFFSET * middle > 0 for corner in corners)
    air = float(np.median(corners))
    air_in_middle = n_offset >= BRIGHT_CORNERS or middle <= air
    if air_in_middle and _shows_elsewhere(image, max(middle, air)):
        yield ValueFault(
            "offset",
            False,
            f"the middle of the image ({middle:g}) is as dark as its corners "
            f"({air:g}), and what is bright lies at its edge: the head is "
            "hardly in view",
            "Look at the image; use a series that covers the whole head.",
        )
    elif sum(corner > bright for corner in corners) >= BRIGHT_CORNERS:
        yield ValueFault(
            "inverted",
            True,
            f"the corners of the image ({air:g}), where there is air, are "
            f"brighter than the head ({middle:g}): black and white are inverted",
            "Export the image again, without inverting it.",
        )
    elif n_offset >= BRIGHT_CORNERS:
        yield ValueFault(
            "offset",
            False,
            f"the corners of the image ({air:g}), where there is air, are "
            f"nearly as bright as the head ({middle:g}): a constant was added, or the scaling of "
            "the header is wrong",
            "Use the magnitude image as the scanner gave it.",
        )


def _shows_elsewhere(image: Volume, bright: float) -> bool:
    """Whether a hundredth of the image is far brighter than `bright`."""
    return float(np.percentile(image.data[::3, ::3, ::3], 99)) > FAR_BRIGHTER * bright


def _outliers(values: Float32Array) -> Iterator[ValueFault]:
    bright = float(np.percentile(values[::7], 99))
    largest = float(values.max())
    if 0 < OUTLIER * bright < largest:
        yield ValueFault(
            "outliers",
            False,
            f"the largest value, {largest:g}, is {largest / bright:.0f} times the bright values of "
            f"the brain ({bright:g}): damaged voxels, which a z-score would follow",
            "Export the image again.",
        )
