from __future__ import annotations

import pytest

from common.arrays import BoolArray
from common.metrics.lesion import LesionCounts, count_lesions
from common.metrics.presets import MSSEG2016
from tests.crafted_masks import SPACING_MM, line, mask


def counts(reference: BoolArray, prediction: BoolArray) -> LesionCounts:
    return count_lesions(reference, prediction, spacing_mm=SPACING_MM, definition=MSSEG2016)


def test_volumes_are_those_of_the_lesions_without_small_components() -> None:
    found = count_lesions(
        mask(line(0, 10), line(20, 22)),  # 10 voxels, and 2 that are too small
        mask(line(0, 5), line(7, 8), line(30, 36)),  # 5 and 6, and 1 that is too small
        spacing_mm=(1.0, 0.5, 3.0),  # 1.5 mm3 a voxel: a lesion has 3 or more
        definition=MSSEG2016,
    )
    assert (found.n_reference, found.reference_volume_mm3) == (1, 15.0)
    assert (found.n_predicted, found.predicted_volume_mm3) == (2, 16.5)


def test_touching_is_counted_beside_the_matching() -> None:
    # reference: 40 voxels of which 4 are covered (alpha, so missed), and one alone;
    # prediction: those 4, 5 on no lesion, and 5 on a component too small to be one
    found = counts(
        mask(line(0, 40), line(0, 8, 5), line(20, 23, 9)),
        mask(line(0, 4), line(30, 35, 5), line(20, 25, 9)),
    )
    assert (found.n_reference, found.n_detected, found.n_touched) == (2, 0, 1)
    assert (found.n_predicted, found.n_confirmed, found.n_untouching) == (3, 0, 2)
    assert (found.ltpr, found.lfpr) == (1 / 2, 2 / 3)


EMPTY = mask()
TINY = mask(line(0, 3), line(10, 13))
LARGE = mask(line(0, 6))


def lesion_metrics(found: LesionCounts) -> tuple[float | None, float | None, float | None]:
    return found.lesion_sensitivity, found.lesion_ppv, found.lesion_f1


def touch_metrics(found: LesionCounts) -> tuple[float | None, float | None]:
    return found.ltpr, found.lfpr


@pytest.mark.parametrize("prediction", [EMPTY, TINY, LARGE], ids=["empty", "tiny", "large"])
def test_without_a_reference_voxel_lesion_metrics_are_undefined(prediction: BoolArray) -> None:
    assert lesion_metrics(counts(EMPTY, prediction)) == (None, None, None)
    assert touch_metrics(counts(EMPTY, prediction)) == (None, None)


@pytest.mark.parametrize("reference", [TINY, LARGE], ids=["tiny", "large"])
def test_an_empty_prediction_of_a_reference_that_is_not_scores_0(reference: BoolArray) -> None:
    assert lesion_metrics(counts(reference, EMPTY)) == (0.0, 0.0, 0.0)
    assert touch_metrics(counts(reference, EMPTY)) == (0.0, None)


@pytest.mark.parametrize("prediction", [TINY, LARGE], ids=["tiny", "large"])
def test_nothing_can_be_found_of_small_components_only(prediction: BoolArray) -> None:
    assert lesion_metrics(counts(TINY, prediction)) == (None, 0.0, 0.0)


def test_small_predicted_components_find_nothing() -> None:
    assert lesion_metrics(counts(LARGE, TINY)) == (0.0, 0.0, 0.0)
    assert touch_metrics(counts(LARGE, TINY)) == (0.0, None)


def test_of_small_components_only_none_can_be_touched() -> None:
    assert touch_metrics(counts(TINY, LARGE)) == (None, 1.0)
    assert touch_metrics(counts(TINY, TINY)) == (None, None)
