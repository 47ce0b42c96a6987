from __future__ import annotations

import numpy as np
import pytest

from benchmarks.crosscheck.their_definitions import (
    contour_distances,
    matched_one_to_one,
    mean_dice,
    percentile_95_float32,
)
from common.metrics.detection import Overlaps

SPACING_MM = np.array([1.0, 0.5, 2.0])


def test_the_edge_of_the_image_is_background_to_the_peers() -> None:
    reference = np.zeros((5, 3, 3), dtype=np.bool_)
    reference[0:3] = True  # fills j and k: by our definition only i = 2 is contour
    prediction = np.zeros((5, 3, 3), dtype=np.bool_)
    prediction[0, 1, 1] = True
    distances = contour_distances(reference, prediction, SPACING_MM)
    # of 27 voxels all but (1, 1, 1) lie at an edge or beside i = 3
    assert distances.there.size == 26
    # farthest: (2, 0, 0), 2 x 1 mm, 1 x 0.5 mm and 1 x 2 mm away
    assert distances.hausdorff_mm == pytest.approx((4 + 0.25 + 4) ** 0.5)


def test_the_two_means_of_surface_distances_differ_where_contours_do() -> None:
    reference = np.zeros((9, 5, 5), dtype=np.bool_)
    reference[1:5, 2, 2] = True
    prediction = np.zeros((9, 5, 5), dtype=np.bool_)
    prediction[1, 2, 2] = True
    distances = contour_distances(reference, prediction, SPACING_MM)
    # there 0, 1, 2, 3 mm; back 0 mm
    assert distances.assd_over_voxels_mm == pytest.approx(6 / 5)
    assert distances.assd_of_means_mm == pytest.approx((6 / 4 + 0) / 2)
    # there at rank 0.95 x 3 = 2.85: 2.85 mm; both ways 0, 0, 1, 2, 3 at rank 3.8: 2.8 mm
    assert distances.hd95_of_each_mm == pytest.approx(2.85)
    assert distances.hd95_of_both_mm == pytest.approx(2.8)


def test_a_single_distance_is_its_own_percentile() -> None:
    assert percentile_95_float32(np.array([4.5])) == 4.5


def overlaps() -> Overlaps:
    """Own lesions of 10 and 4 voxels, others of 6 and 2: the first two share 6."""
    return Overlaps(
        own=np.array([0, 0, 1]),
        other=np.array([0, 1, 1]),
        shared=np.array([6, 1, 1]),
        own_sizes=np.array([10, 4]),
        other_sizes=np.array([6, 2]),
    )


def test_each_lesion_is_matched_once_from_the_largest_iou_down() -> None:
    # IoU: 6 / 10, 1 / 11 and 1 / 5; own 0 is taken when other 1 asks for it
    assert matched_one_to_one(overlaps(), iou=0.0) == [(0, 0), (1, 1)]
    assert matched_one_to_one(overlaps(), iou=0.5) == [(0, 0)]
    assert matched_one_to_one(overlaps(), iou=0.61) == []


def test_mean_dice_is_over_the_matched_lesions() -> None:
    # 2 x 6 / (10 + 6) and 2 x 1 / (4 + 2)
    assert mean_dice(overlaps(), [(0, 0), (1, 1)]) == pytest.approx((12 / 16 + 2 / 6) / 2)
    assert mean_dice(overlaps(), []) is None
