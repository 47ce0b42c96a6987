"""What one training step sees."""

from __future__ import annotations

from typing import NamedTuple

from common.arrays import BoolArray, Float32Array, IndexArray


class Batch(NamedTuple):
    """Patches, their references, and which case each is from.

    images       (B, C, *patch_shape)
    references   (B, R, ...), of each output
    cases        (B,), places in the list of cases that the sampler was given
    """

    images: Float32Array
    references: BoolArray
    cases: IndexArray
