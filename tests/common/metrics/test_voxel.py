from __future__ import annotations

import numpy as np
import pytest

from common.metrics.voxel import VoxelCounts, count_voxels


def test_the_four_counts_by_hand() -> None:
    reference = np.zeros((5, 2, 2), dtype=np.bool_)
    prediction = np.zeros((5, 2, 2), dtype=np.bool_)
    reference[:, 0, 0] = True  # 5 voxels
    prediction[2:5, 0, 0] = True  # 3 of them
    prediction[4, 1, 1] = True  # and one elsewhere
    assert count_voxels(reference, prediction) == VoxelCounts(tp=3, fp=1, fn=2, tn=14)


def test_each_metric_by_hand() -> None:
    counts = VoxelCounts(tp=3, fp=1, fn=2, tn=14)
    assert counts.dice == 6 / 9
    assert counts.jaccard == 3 / 6
    assert counts.sensitivity == 3 / 5
    assert counts.specificity == 14 / 15
    assert counts.ppv == 3 / 4
    assert counts.npv == 14 / 16
    assert counts.relative_volume_error_pct == -20.0  # 100 (4 - 5) / 5


def test_too_much_drawn_is_a_volume_error_above_0() -> None:
    # 100 (9 - 4) / 4
    assert VoxelCounts(tp=3, fp=6, fn=1, tn=9).relative_volume_error_pct == 125.0


@pytest.mark.parametrize("fp", [0, 4])
def test_without_a_reference_voxel_every_metric_is_undefined(fp: int) -> None:
    counts = VoxelCounts(tp=0, fp=fp, fn=0, tn=20 - fp)
    assert [
        counts.dice,
        counts.jaccard,
        counts.sensitivity,
        counts.specificity,
        counts.ppv,
        counts.npv,
        counts.relative_volume_error_pct,
    ] == [None] * 7


def test_an_empty_prediction_has_no_ppv_and_dice_0() -> None:
    counts = VoxelCounts(tp=0, fp=0, fn=5, tn=15)
    assert counts.ppv is None
    assert (counts.dice, counts.jaccard, counts.sensitivity) == (0.0, 0.0, 0.0)
    assert (counts.specificity, counts.npv) == (1.0, 15 / 20)
    assert counts.relative_volume_error_pct == -100.0


def test_without_background_in_a_mask_what_is_said_of_it_is_undefined() -> None:
    counts = VoxelCounts(tp=6, fp=0, fn=0, tn=0)
    assert counts.specificity is None
    assert counts.npv is None
    assert counts.dice == 1.0
