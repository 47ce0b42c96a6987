"""One image in other storage orders: the same voxels at the same places in the world."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from nibabel import orientations
from numpy.typing import NDArray

from common.imaging.volume import Volume

ENDS = ("LR", "PA", "IS")

ORDERS = tuple(
    "".join(pair[end] for pair, end in zip(pairs, ends, strict=True))
    for pairs in itertools.permutations(ENDS)
    for ends in itertools.product((1, 0), repeat=3)
)
"""All 48; the first is RAS."""

_NIBABEL: Any = orientations  # Any, for nibabel has not typed them


def stored(volume: Volume, order: str) -> Volume:
    """A volume whose axes run right, forwards and up, stored in another order by nibabel."""
    return _turned(volume, "RAS", order)


def as_ras(volume: Volume, order: str) -> Volume:
    """Back from `stored`."""
    return _turned(volume, order, "RAS")


def _turned(volume: Volume, before: str, after: str) -> Volume:
    turn: NDArray[Any] = _NIBABEL.ornt_transform(
        _NIBABEL.axcodes2ornt(before), _NIBABEL.axcodes2ornt(after)
    )
    data: NDArray[Any] = np.ascontiguousarray(_NIBABEL.apply_orientation(volume.data, turn))
    return Volume(data, volume.affine @ _NIBABEL.inv_ornt_aff(turn, volume.data.shape))
