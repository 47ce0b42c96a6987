from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from common.arrays import BoolArray
from common.learning.lesion_wise.lesion_events import events_in_cells, lesion_events, true_lesion_f1
from common.metrics.lesion import count_lesions
from common.metrics.presets import KAMRAOUI

MASKS = npst.arrays(np.bool_, (8, 4, 4), elements=st.booleans())


def mask_with(*voxels: tuple[int, int, int]) -> BoolArray:
    mask = np.zeros((8, 4, 12), dtype=np.bool_)
    for voxel in voxels:
        mask[voxel] = True
    return mask


THREE = ((0, 0, 0), (4, 2, 3), (7, 3, 8))


@pytest.mark.parametrize(
    ("reference", "prediction", "expected"),
    [
        pytest.param((), (), 1.0, id="both empty"),
        pytest.param((), ((1, 1, 1),), 0.0, id="reference empty"),
        pytest.param(((1, 1, 1),), (), 0.0, id="prediction empty"),
        pytest.param(THREE, ((2, 2, 6),), 0.0, id="nothing found"),
        pytest.param(THREE, THREE, 1.0, id="all found, none false"),
        # LTPR 2 / 3, LPPV 2 / 4: 2 * (2/3) * (1/2) / (2/3 + 1/2) = (2/3) / (7/6) = 4/7
        pytest.param(
            THREE, ((0, 0, 0), (4, 2, 3), (2, 2, 6), (0, 0, 11)), 4 / 7, id="2 of 3, 2 false"
        ),
    ],
)
def test_lesion_f1_worked_by_hand(
    reference: tuple[tuple[int, int, int], ...],
    prediction: tuple[tuple[int, int, int], ...],
    expected: float,
) -> None:
    assert true_lesion_f1(mask_with(*reference), mask_with(*prediction)) == pytest.approx(expected)


def test_voxels_that_meet_at_an_edge_are_one_lesion_and_at_a_corner_two() -> None:
    reference = mask_with((2, 1, 1), (3, 2, 1))
    assert lesion_events(reference, reference).n_found == 1
    reference = mask_with((2, 1, 1), (3, 2, 2))
    assert lesion_events(reference, reference).n_found == 2


@given(MASKS, MASKS)
def test_where_the_preset_is_defined_the_target_is_the_presets_lesion_f1(
    reference: BoolArray, prediction: BoolArray
) -> None:
    counts = count_lesions(reference, prediction, spacing_mm=(1.0, 0.8, 3.0), definition=KAMRAOUI)
    if counts.lesion_f1 is not None:
        assert true_lesion_f1(reference, prediction) == pytest.approx(counts.lesion_f1)


@given(MASKS, MASKS)
def test_the_cells_sum_to_the_events(reference: BoolArray, prediction: BoolArray) -> None:
    events = lesion_events(reference, prediction)
    cells = events_in_cells(reference, prediction)
    assert cells.shape == (4, 2, 1, 1)
    expected = (events.n_found, events.n_missed, events.n_confirmed, events.n_false)
    np.testing.assert_allclose(cells.sum((1, 2, 3)), expected, atol=1e-5)


def test_a_lesion_over_two_cells_counts_in_each_by_its_share() -> None:
    reference = mask_with((2, 0, 0), (3, 0, 0), (4, 0, 0))  # i 2 and 3 in one cell, 4 in the next
    missed = events_in_cells(reference, mask_with())[1]
    np.testing.assert_allclose(missed[:, 0, 0], [2 / 3, 1 / 3], rtol=1e-6)
