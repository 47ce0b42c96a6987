"""One order, from the site's files to the prepared folder and its quality pages."""

from __future__ import annotations

import numpy as np

from client.prepare.derivatives import is_written, read_prepared, sweep, write_case
from client.prepare.job import CaseSource, WorkOrder
from client.prepare.mask_sessions import masks_with_their_date, masks_with_their_image
from client.prepare.qc_page import write_qc_pages
from common.imaging.centreline import read_centreline
from common.imaging.preprocessing.chain import prepare_sessions
from common.imaging.preprocessing.working_case import WorkingCase, WorkingImage
from common.imaging.volume import Volume, read_mask, read_volume


def carry_out(order: WorkOrder) -> dict[str, list[str]]:
    """Prepares what is not there yet, draws the pages, and returns the notes of each case by name.

    A case is written whole or not at all. Errors are those of reading, of the chain's steps and of
    `derivatives.write_case`.
    """
    sweep(order)
    if not all(is_written(order, case) for case in order.cases):
        working = [_working_case(case, order) for case in order.cases]
        placed = masks_with_their_image(working)
        prepared = prepare_sessions(placed, order.preprocessing, brain_command=order.brain_command)
        prepared = masks_with_their_date(prepared, working)
        for case, volumes in zip(order.cases, prepared, strict=True):
            write_case(order, case, volumes)
        del working, placed, prepared
    written = [read_prepared(order, case) for case in order.cases]
    write_qc_pages(order, written)
    return {
        case.name: list(volumes.notes) for case, volumes in zip(order.cases, written, strict=True)
    }


def _working_case(case: CaseSource, order: WorkOrder) -> WorkingCase:
    with_cord = "cord" in order.preprocessing.steps
    centreline = case.centreline if with_cord else None
    cord_mask = case.cord_mask if with_cord and centreline is None else None
    return WorkingCase(
        images={name: _here(read_volume(path)) for name, path in case.images.items()},
        reference=order.preprocessing.reference_of(tuple(case.images)),
        brain=None if case.brain_mask is None else _here(read_mask(case.brain_mask)),
        lesions=None if case.lesion_mask is None else _here(read_mask(case.lesion_mask)),
        raters={rater: _here(read_mask(path)) for rater, path in case.rater_masks.items()},
        centreline=None if centreline is None else read_centreline(centreline),
        cord=None if cord_mask is None else _here(read_mask(cord_mask)),
    )


def _here(volume: Volume) -> WorkingImage:
    """Where its header says, until it is registered."""
    return WorkingImage(volume=volume, to_common=np.eye(4))
