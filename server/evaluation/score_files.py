"""One NIfTI file scored against another."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from common.imaging.grid import nearest_onto
from common.imaging.volume import Volume, grid_text, read_volume, require_same_grid, same_grid
from common.metrics.case import CaseScore, score_case
from common.metrics.presets import LesionDefinition


def score_files(
    reference: Path,
    prediction: Path,
    *,
    definition: LesionDefinition,
    threshold: float | None = None,
    resample: bool = False,
) -> CaseScore:
    """The score of one NIfTI file against another; GeometryError unless they share a grid.

    resample   bring a prediction on another grid onto the reference's instead, by the nearest
               voxel, and say so in the notes
    """
    truth, found = read_volume(reference), read_volume(prediction)
    notes: tuple[str, ...] = ()
    if resample and not same_grid(truth, found):
        notes = (f"prediction: resampled by the nearest voxel from {grid_text(found)}",)
        if n_lost := _n_outside(found, truth, threshold):
            notes += (
                f"prediction: {n_lost} lesion voxels lie outside the reference's field of view "
                "and are left out",
            )
        found = nearest_onto(truth, found)
    require_same_grid(truth, found, a_name=str(reference), b_name=str(prediction))
    scored = score_case(
        truth.data,
        found.data,
        spacing_mm=truth.spacing_mm,
        definition=definition,
        threshold=threshold,
    )
    return dataclasses.replace(scored, notes=(*notes, *scored.notes))


def _n_outside(found: Volume, truth: Volume, threshold: float | None) -> int:
    """Lesion voxels of `found` whose centres lie outside the grid of `truth`."""
    covered = nearest_onto(found, Volume(np.ones(truth.data.shape, dtype=np.uint8), truth.affine))
    lesion = found.data > (0 if threshold is None else threshold)
    return int(np.count_nonzero(lesion & (covered.data == 0)))
