"""Lesions that were drawn on the scanner's grid and are not in the prepared reference."""

from __future__ import annotations

import itertools

import numpy as np

from common.imaging.dataset.drawn_reference import DrawnReference
from common.imaging.volume import Volume
from common.metrics.components import find_lesions
from common.metrics.presets import LesionDefinition

ROUNDING = 1e-3
"""Share of a voxel by which a centre on the border of two voxels counts as in both: the last digits
of the headers decided into which one it fell."""


def n_lost_lesions(drawn: DrawnReference, prepared: Volume, definition: LesionDefinition) -> int:
    """How many lesions as they were drawn have no voxel in the prepared reference.

    prepared     bool, the reference that was made of `drawn` by the nearest voxel
    definition   what is a lesion: components that are too small are in no count, nor in this one

    A lesion is lost when no voxel of the prepared reference has its centre in one of the lesion's
    voxels (chosen: the prepared voxels carried back would cover neighbours that were never seen).
    """
    lesions = find_lesions(
        drawn.lesions.data, spacing_mm=drawn.lesions.spacing_mm, definition=definition
    )
    to_drawn = np.linalg.inv(drawn.to_common @ drawn.lesions.affine) @ prepared.affine
    centres = np.argwhere(prepared.data) @ to_drawn[:3, :3].T + to_drawn[:3, 3]
    left: set[int] = set()
    for shift in itertools.product((-ROUNDING, ROUNDING), repeat=3):
        voxels = np.floor(centres + 0.5 + shift).astype(int)
        inside = ((voxels >= 0) & (voxels < lesions.labels.shape)).all(axis=1)
        left |= set(np.unique(lesions.labels[tuple(voxels[inside].T)]).tolist())
    return len(lesions) - len(left - {0})
