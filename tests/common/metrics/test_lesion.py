"""Crafted volumes: each a sentence and an exact fraction.

Voxels measure 1 x 0.5 x 2 mm = 1 mm3, so a lesion has 4 voxels or more. `line(a, b, j, k)` is
the voxels i = a .. b - 1 of one row; rows two apart do not touch.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from common.errors import GeometryError
from common.metrics.lesion import (
    LesionCounts,
    count_lesions,
    find_lesions,
    min_voxels,
    overlaps_of,
    voxel_volume_mm3,
)
from common.metrics.presets import MSSEG2016, Connectivity

BoolArray = NDArray[np.bool_]
Box = tuple[slice, slice, slice]

SPACING_MM = (1.0, 0.5, 2.0)
SHAPE = (50, 5, 4)


def line(start: int, end: int, j: int = 1, k: int = 1) -> Box:
    return slice(start, end), slice(j, j + 1), slice(k, k + 1)


def mask(*boxes: Box) -> BoolArray:
    filled = np.zeros(SHAPE, dtype=np.bool_, order="F")
    for box in boxes:
        filled[box] = True
    return filled


def counts(reference: BoolArray, prediction: BoolArray) -> LesionCounts:
    return count_lesions(reference, prediction, spacing_mm=SPACING_MM, definition=MSSEG2016)


@dataclass(frozen=True, kw_only=True)
class Crafted:
    reference: BoolArray
    prediction: BoolArray
    sensitivity: float
    ppv: float
    f1: float


CRAFTED = {
    # 4/40 = 0.10 is not above alpha; back, 36/40 of the reference lies outside
    "4 of 40 covered is alpha exactly: missed": Crafted(
        reference=mask(line(0, 40)),
        prediction=mask(line(0, 4)),
        sensitivity=0 / 1,
        ppv=0 / 1,
        f1=0.0,
    ),
    # 5/40 = 0.125 > 0.10; back, 35/40 = 0.875 > 0.70
    "5 of 40 covered is above alpha: found, though too little to confirm the prediction": Crafted(
        reference=mask(line(0, 40)),
        prediction=mask(line(0, 5)),
        sensitivity=1 / 1,
        ppv=0 / 1,
        f1=0.0,
    ),
    "14 of 20 predicted voxels outside is beta exactly: found": Crafted(
        reference=mask(line(0, 6)),
        prediction=mask(line(0, 20)),
        sensitivity=1 / 1,
        ppv=1 / 1,  # 6/20 of it covered, and nothing of the reference outside
        f1=1.0,
    ),
    "15 of 20 predicted voxels outside is above beta: missed": Crafted(
        reference=mask(line(0, 5)),
        prediction=mask(line(0, 20)),
        sensitivity=0 / 1,
        ppv=1 / 1,
        f1=0.0,
    ),
    "three fragments of one lesion add up and are all confirmed": Crafted(
        reference=mask(line(0, 14)),
        prediction=mask(line(0, 4), line(5, 9), line(10, 14)),
        sensitivity=1 / 1,
        ppv=3 / 3,
        f1=1.0,
    ),
    # outside: 4/12
    "one prediction over two lesions finds both": Crafted(
        reference=mask(line(0, 4), line(8, 12)),
        prediction=mask(line(0, 12)),
        sensitivity=2 / 2,
        ppv=1 / 1,
        f1=1.0,
    ),
    # outside: 32/40 = 0.8 > 0.7; back, 8/40 = 0.2 > 0.1
    "one oversized prediction loses both lesions": Crafted(
        reference=mask(line(0, 4), line(8, 12)),
        prediction=mask(line(0, 40)),
        sensitivity=0 / 2,
        ppv=1 / 1,
        f1=0.0,
    ),
    # 20 covered: 13 by a good one, 7 by one of 30 voxels with 23 outside (0.77)
    "13 of 20 explained is gamma exactly: the oversized second one is not looked at": Crafted(
        reference=mask(line(0, 21)),
        prediction=mask(line(0, 13), line(14, 44)),
        sensitivity=1 / 1,
        ppv=2 / 2,
        f1=1.0,
    ),
    # 20 covered: 12 by a good one, 8 by one of 30 voxels with 22 outside (0.73)
    "12 of 20 explained is below gamma: the oversized second one loses the lesion": Crafted(
        reference=mask(line(0, 21)),
        prediction=mask(line(0, 12), line(13, 43)),
        sensitivity=0 / 1,
        ppv=2 / 2,
        f1=0.0,
    ),
    # of 11 predicted voxels 3 lie on the lesion, 3 on a component of 3 voxels: 8/11 > 0.7 outside
    "a component too small to be a lesion is background: missed": Crafted(
        reference=mask(line(0, 10), line(12, 15)),
        prediction=mask(line(7, 18)),
        sensitivity=0 / 1,
        ppv=1 / 1,  # 3/11 > 0.1, and 7/10 of the reference outside is beta exactly
        f1=0.0,
    ),
    # now 3 + 4 of the 11 lie on lesions, and 4/11 outside
    "the same component with 4 voxels is a lesion: both found": Crafted(
        reference=mask(line(0, 10), line(12, 16)),
        prediction=mask(line(7, 18)),
        sensitivity=2 / 2,
        ppv=1 / 1,
        f1=1.0,
    ),
    "two of three found, one of two confirmed": Crafted(
        reference=mask(line(0, 5), line(10, 15), line(20, 25)),
        prediction=mask(line(0, 15), line(40, 44)),  # 5/15 of the first lies outside
        sensitivity=2 / 3,
        ppv=1 / 2,
        f1=2 * (2 / 3) * (1 / 2) / (2 / 3 + 1 / 2),  # 4/7
    ),
    "a neighbour that only touches finds nothing": Crafted(
        reference=mask(line(0, 10)),
        prediction=mask(line(10, 20)),
        sensitivity=0 / 1,
        ppv=0 / 1,
        f1=0.0,
    ),
}


@pytest.mark.parametrize("sentence", CRAFTED)
def test_crafted_volume(sentence: str) -> None:
    crafted = CRAFTED[sentence]
    found = counts(crafted.reference, crafted.prediction)
    assert found.lesion_sensitivity == crafted.sensitivity
    assert found.lesion_ppv == crafted.ppv
    assert found.lesion_f1 == pytest.approx(crafted.f1, abs=1e-12)


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


def test_lesions_are_numbered_by_their_first_voxel_with_i_fastest() -> None:
    lesions = find_lesions(
        mask(line(0, 4, 1, 3), line(30, 36, 1, 0), line(10, 15, 3, 0)),
        spacing_mm=SPACING_MM,
        definition=MSSEG2016,
    )
    assert lesions.sizes.tolist() == [6, 5, 4]
    assert [lesions.labels[at] for at in ((30, 1, 0), (10, 3, 0), (0, 1, 3))] == [1, 2, 3]


def test_overlaps_hold_each_pair_that_shares_a_voxel_once() -> None:
    own = find_lesions(mask(line(0, 10), line(20, 30)), spacing_mm=SPACING_MM, definition=MSSEG2016)
    other = find_lesions(mask(line(0, 4), line(6, 23)), spacing_mm=SPACING_MM, definition=MSSEG2016)
    overlaps = overlaps_of(own, other)
    pairs = zip(overlaps.own, overlaps.other, overlaps.shared, strict=True)
    # 0..3 with 0..3; 6..9 and 20..22 with 6..22
    assert [tuple(map(int, pair)) for pair in pairs] == [(0, 0, 4), (0, 1, 4), (1, 1, 3)]


@pytest.mark.parametrize(
    ("offset", "n_lesions"),
    [
        pytest.param((2, 0, 0), {6: 1, 18: 1, 26: 1}, id="by a face"),
        pytest.param((2, 2, 0), {6: 2, 18: 1, 26: 1}, id="by an edge"),
        pytest.param((2, 2, 2), {6: 2, 18: 2, 26: 1}, id="by a corner"),
    ],
)
def test_two_blocks_that_touch(
    offset: tuple[int, int, int], n_lesions: dict[Connectivity, int]
) -> None:
    i, j, k = offset
    blocks = mask(
        (slice(0, 2), slice(0, 2), slice(0, 2)),
        (slice(i, i + 2), slice(j, j + 2), slice(k, k + 2)),
    )
    for connectivity, expected in n_lesions.items():
        definition = dataclasses.replace(MSSEG2016, connectivity=connectivity)
        assert len(find_lesions(blocks, spacing_mm=SPACING_MM, definition=definition)) == expected


@pytest.mark.parametrize(
    ("spacing_mm", "fewest"),
    [
        pytest.param((1.0, 1.0, 1.0), 4, id="3 / 1 = 3 exactly: 4"),
        pytest.param((1.0, 1.0, 0.75), 5, id="3 / 0.75 = 4 exactly: 5"),
        pytest.param((1.0, 1.0, 0.6), 5, id="3 / float32(0.6) is just under 5: 5"),
        pytest.param((0.8, 0.8, 0.8), 6, id="3 / 0.512 = 5.86: 6"),
        pytest.param((1.0, 1.0, 3.5), 1, id="3 / 3.5 = 0.86: 1"),
    ],
)
def test_a_lesion_is_strictly_larger_than_3_mm3(
    spacing_mm: tuple[float, float, float], fewest: int
) -> None:
    assert min_voxels(spacing_mm, 3.0) == fewest


def test_without_a_minimum_volume_one_voxel_is_a_lesion() -> None:
    assert min_voxels((1.0, 0.5, 2.0), 0.0) == 1


def test_volumes_are_those_of_the_lesions_without_small_components() -> None:
    found = count_lesions(
        mask(line(0, 10), line(20, 22)),  # 10 voxels, and 2 that are too small
        mask(line(0, 5), line(7, 8), line(30, 36)),  # 5 and 6, and 1 that is too small
        spacing_mm=(1.0, 0.5, 3.0),  # 1.5 mm3 a voxel: a lesion has 3 or more
        definition=MSSEG2016,
    )
    assert (found.n_reference, found.reference_volume_mm3) == (1, 15.0)
    assert (found.n_predicted, found.predicted_volume_mm3) == (2, 16.5)


EMPTY = mask()
TINY = mask(line(0, 3), line(10, 13))
LARGE = mask(line(0, 6))


def lesion_metrics(found: LesionCounts) -> tuple[float | None, float | None, float | None]:
    return found.lesion_sensitivity, found.lesion_ppv, found.lesion_f1


@pytest.mark.parametrize("prediction", [EMPTY, TINY, LARGE], ids=["empty", "tiny", "large"])
def test_without_a_reference_voxel_lesion_metrics_are_undefined(prediction: BoolArray) -> None:
    assert lesion_metrics(counts(EMPTY, prediction)) == (None, None, None)


@pytest.mark.parametrize("reference", [TINY, LARGE], ids=["tiny", "large"])
def test_an_empty_prediction_of_a_reference_that_is_not_scores_0(reference: BoolArray) -> None:
    assert lesion_metrics(counts(reference, EMPTY)) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("prediction", [TINY, LARGE], ids=["tiny", "large"])
def test_nothing_can_be_found_of_small_components_only(prediction: BoolArray) -> None:
    assert lesion_metrics(counts(TINY, prediction)) == (None, 0.0, 0.0)


def test_small_predicted_components_find_nothing() -> None:
    assert lesion_metrics(counts(LARGE, TINY)) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    "spacing_mm", [(1.0, 0.0, 1.0), (1.0, -1.0, 1.0), (1.0, float("nan"), 1.0), (1.0, 1.0)]
)
def test_a_spacing_that_cannot_be_is_refused(spacing_mm: tuple[float, ...]) -> None:
    with pytest.raises(GeometryError, match="spacing_mm: want three lengths above 0, got"):
        voxel_volume_mm3(spacing_mm)
