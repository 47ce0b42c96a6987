"""What a case must provide for the samplers."""

from __future__ import annotations

from typing import Protocol

from common.arrays import BoolArray, Float32Array, IndexArray

FlatVoxels = IndexArray
"""Positions of voxels in a flattened volume, (n,)."""


class LabelledCase(Protocol):
    """A case with its references; arrays may be memory-mapped.

    image     (C, i, j, k)
    brain     (i, j, k), the voxels that are sampled
    lesions   (i, j, k), the consensus; None without a reference
    """

    @property
    def image(self) -> Float32Array: ...

    @property
    def brain(self) -> BoolArray: ...

    @property
    def lesions(self) -> BoolArray | None: ...

    def references(self, n_outputs: int) -> tuple[BoolArray, ...]:
        """The reference of each output, R of (i, j, k): every rater in turn, the consensus last."""
        ...
