"""Which way the voxel axes of an image run, the image turned upright, and turned back.

Upright is RAS: i to the right, j forwards and k upwards, as close as whole turns get. Everything
that enters a network is upright, and what a user gets back lies as the user's own image does.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.arrays import BoolArray, FloatArray
from common.imaging.volume import Volume

UPRIGHT = "RAS"

ENDS = ("LR", "PA", "IS")
"""Of the world's x, y and z: the letter of the lower end, and of the upper one."""

TIE = 1e-4
"""Two turns whose axes fit the world's equally well up to this (a sum of three cosines) are a tie.
Chosen: far above the rounding of a header, and 0.002 degrees on either side of 45 degrees."""


def _orders() -> Iterator[tuple[str, FloatArray]]:
    """Each of the 48 storage orders, and the matrix that takes its directions to upright ones."""
    for world in itertools.permutations(range(3)):
        for upwards in itertools.product((0, 1), repeat=3):
            matrix = np.zeros((3, 3))
            for axis in range(3):
                matrix[axis, world[axis]] = 2 * upwards[axis] - 1
            yield "".join(ENDS[w][up] for w, up in zip(world, upwards, strict=True)), matrix


ORDERS: dict[str, FloatArray] = dict(_orders())
"""Storage order such as "PIR" -> (3, 3): directions of i, j, k (columns) times this are upright."""

_NAMES = tuple(ORDERS)
_MATRICES = np.stack([*ORDERS.values()])


def orientation_of(volume: Volume) -> str:
    """Where i, j and k run to, one letter each: "RAS" is right, anterior, superior.

    Of all 48 orders the one whose turn to RAS leaves the axes closest to the world's (largest sum
    of the three cosines). Of an oblique halfway between two, 45 degrees, the answer is made from
    the turned axes, not from the order on disk: the same voxels in the same places are turned to
    the same upright image whatever the order they are stored in.
    """
    directions = volume.affine[:3, :3] / volume.spacing_mm
    turned = directions @ _MATRICES
    fit = np.trace(turned, axis1=1, axis2=2)
    best = np.flatnonzero(fit >= fit.max() - TIE)
    for cosine in turned.reshape(len(turned), 9).T:
        best = best[cosine[best] >= cosine[best].max() - TIE]
    return _NAMES[int(best[0])]


def upright(volume: Volume) -> Volume:
    """`volume` with i to the right, j forwards and k upwards, as close as whole turns get.

    Nothing is interpolated: axes are exchanged and reversed. One that is upright is returned
    itself.
    """
    order = orientation_of(volume)
    if order == UPRIGHT:
        return volume
    axes, flips = _turns(order)
    data: NDArray[Any] = np.flip(volume.data.transpose(axes), tuple(np.flatnonzero(flips).tolist()))
    if any(data.strides):  # a grid of one value stays in the memory of one voxel
        data = np.ascontiguousarray(data)
    first, second, third = data.shape
    affine = volume.affine @ stored_from_upright(order, (first, second, third))
    return Volume(data, affine, volume.notes)


def turned_back(volume: Volume, file: Volume) -> Volume:
    """An upright `volume` in the storage order of `file`, and with its affine.

    file   the image whose upright grid `volume` lies on; its values do not matter
    """
    axes, flips = _turns(orientation_of(file))
    data = np.flip(volume.data, tuple(np.flatnonzero(flips).tolist())).transpose(np.argsort(axes))
    return Volume(np.ascontiguousarray(data), file.affine)


def stored_from_upright(order: str, shape: tuple[int, int, int]) -> FloatArray:
    """(4, 4), voxel of an upright image -> the same voxel where it is stored in `order`.

    shape   of the upright image
    """
    axes, flips = _turns(order)
    matrix = np.zeros((4, 4))
    matrix[3, 3] = 1
    for world, (axis, flip) in enumerate(zip(axes, flips.tolist(), strict=True)):
        matrix[axis, world] = -1 if flip else 1
        matrix[axis, 3] = shape[world] - 1 if flip else 0
    return matrix


def _turns(order: str) -> tuple[list[int], BoolArray]:
    """Of each upright axis: the stored axis it is made of, and whether that one is reversed."""
    matrix = ORDERS[order]
    axes = np.abs(matrix).argmax(axis=0)
    flips: BoolArray = matrix[axes, range(3)] < 0
    return axes.tolist(), flips
