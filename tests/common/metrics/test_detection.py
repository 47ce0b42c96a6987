from __future__ import annotations

import numpy as np
import pytest

from common.arrays import BoolArray
from common.errors import GeometryError
from common.metrics.components import Lesions, find_lesions
from common.metrics.detection import detected, overlaps_of, touched
from common.metrics.lesion import LesionCounts, count_lesions
from common.metrics.presets import ISBI2015, MSSEG2016
from tests.crafted_masks import SPACING_MM, line, mask


def lesions(mask: BoolArray) -> Lesions:
    return find_lesions(mask, spacing_mm=SPACING_MM, definition=MSSEG2016)


def counts(reference: BoolArray, prediction: BoolArray) -> LesionCounts:
    return count_lesions(reference, prediction, spacing_mm=SPACING_MM, definition=MSSEG2016)


def tied_overlaps() -> tuple[BoolArray, BoolArray]:
    """One lesion, 20 of its 27 voxels covered: 12 by one prediction and 4 by each of two others.

    12 explain 0.6; the next in order brings 0.8, enough for gamma. Of the two with 4 voxels, one
    (k = 0) is good and one (k = 2) has 10 of 14 voxels outside. The good one comes first with i
    fastest; with k fastest the bad one would, for it has the smaller i.
    """
    reference = mask(line(0, 18, 0, 0), line(12, 13, 0, 1), line(5, 13, 0, 2))
    prediction = mask(
        line(0, 12, 0, 0),
        line(14, 18, 0, 0),
        line(5, 9, 0, 2),
        line(5, 9, 1, 2),
        line(5, 9, 2, 2),
        line(5, 7, 3, 2),
    )
    return reference, prediction


def test_equal_overlaps_are_visited_in_raster_order_with_i_fastest() -> None:
    reference, prediction = tied_overlaps()
    assert counts(reference, prediction).lesion_sensitivity == 1.0
    # upside down, the oversized one comes first
    assert counts(reference[:, :, ::-1], prediction[:, :, ::-1]).lesion_sensitivity == 0.0


def test_how_an_array_lies_in_memory_changes_nothing() -> None:
    reference, prediction = tied_overlaps()
    assert counts(np.ascontiguousarray(reference), np.ascontiguousarray(prediction)) == counts(
        reference, prediction
    )


def test_overlaps_hold_each_pair_that_shares_a_voxel_once() -> None:
    own = find_lesions(mask(line(0, 10), line(20, 30)), spacing_mm=SPACING_MM, definition=MSSEG2016)
    other = find_lesions(mask(line(0, 4), line(6, 23)), spacing_mm=SPACING_MM, definition=MSSEG2016)
    overlaps = overlaps_of(own, other)
    pairs = zip(overlaps.own, overlaps.other, overlaps.shared, strict=True)
    # 0..3 with 0..3; 6..9 and 20..22 with 6..22
    assert [tuple(map(int, pair)) for pair in pairs] == [(0, 0, 4), (0, 1, 4), (1, 1, 3)]


def test_covered_voxels_are_summed_over_the_lesions_that_cover() -> None:
    overlaps = overlaps_of(
        lesions(mask(line(0, 10), line(20, 30), line(40, 44))),
        lesions(mask(line(0, 4), line(6, 23))),
    )
    assert overlaps.covered().tolist() == [4 + 4, 3, 0]
    assert overlaps.exchanged().covered().tolist() == [4, 4 + 3]


def test_by_any_overlap_one_voxel_is_enough_and_touching_none_is_not_found() -> None:
    overlaps = overlaps_of(lesions(mask(line(0, 20), line(30, 35))), lesions(mask(line(19, 29))))
    assert touched(overlaps).tolist() == [True, False]
    assert detected(overlaps, ISBI2015).tolist() == [True, False]
    assert detected(overlaps, MSSEG2016).tolist() == [False, False]


def test_masks_of_two_shapes_are_refused() -> None:
    with pytest.raises(GeometryError, match="want two masks with one shape"):
        overlaps_of(lesions(mask()), lesions(mask()[:, :-1]))
