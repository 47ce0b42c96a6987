"""Crafted volumes, scored by hand: what each shows stands in `tests/crafted_masks.py`.

Undefined is None; every other value is exact. The working is shown where it is more than a count.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from fractions import Fraction as F
from typing import Any

import pytest

from common.metrics.case import score_case
from common.metrics.presets import ISBI2015, MSSEG2016, LesionDefinition
from tests import crafted_masks as crafted
from tests.crafted_masks import SPACING_MM, Pair

Expected = dict[str, F | int | None]

CORNERS = dataclasses.replace(ISBI2015, name="corners", connectivity=26)


def lesions(sensitivity: Any, ppv: Any, f1: Any, *, ltpr: Any, lfpr: Any) -> Expected:
    return {
        "lesion_sensitivity": sensitivity,
        "lesion_ppv": ppv,
        "lesion_f1": f1,
        "ltpr": ltpr,
        "lfpr": lfpr,
    }


def distances(hausdorff: Any, hd95: Any, contour_mean: Any, assd: Any) -> Expected:
    return {
        "hausdorff_mm": hausdorff,
        "hd95_mm": hd95,
        "contour_mean_distance_mm": contour_mean,
        "assd_mm": assd,
    }


MATCHING: dict[Callable[[], Pair], Expected] = {
    # 4/40 = alpha; back, 36/40 = 0.9 of the reference lies outside
    crafted.covered_by_alpha_exactly: {
        "dice": F(8, 44),
        **lesions(F(0, 1), F(0, 1), 0, ltpr=F(1, 1), lfpr=F(0, 1)),
    },
    # 5/40 = 0.125 > alpha; back, 35/40 = 0.875 > beta
    crafted.covered_by_just_more_than_alpha: {
        "dice": F(10, 45),
        **lesions(F(1, 1), F(0, 1), 0, ltpr=F(1, 1), lfpr=F(0, 1)),
    },
    # 14/20 = beta; back, 6/20 > alpha and nothing of the reference lies outside
    crafted.outside_by_beta_exactly: {
        "dice": F(12, 26),
        "relative_volume_error_pct": F(100 * 14, 6),
        **lesions(F(1, 1), F(1, 1), 1, ltpr=F(1, 1), lfpr=F(0, 1)),
    },
    # 15/20 = 0.75 > beta
    crafted.outside_by_more_than_beta: {
        "dice": F(10, 25),
        **lesions(F(0, 1), F(1, 1), 0, ltpr=F(1, 1), lfpr=F(0, 1)),
    },
    crafted.three_fragments: {
        "dice": F(24, 26),
        "n_reference_lesions": 1,
        "n_predicted_lesions": 3,
        **lesions(F(1, 1), F(3, 3), 1, ltpr=F(1, 1), lfpr=F(0, 3)),
        # of 14 reference voxels the two in the gaps lie 1 mm off: ranks 12 and 13, counted from
        # 0, and rank 0.95 * 13 = 12.35 lies between them
        **distances(1, 1, F(2, 14), F(2, 26)),
    },
    # 4/12 of the prediction lies outside; its voxels between lie 1, 2, 2, 1 mm off
    crafted.one_over_two: {
        "dice": F(16, 20),
        "ppv": F(8, 12),
        "relative_volume_error_pct": F(100 * 4, 8),
        **lesions(F(2, 2), F(1, 1), 1, ltpr=F(2, 2), lfpr=F(0, 1)),
        **distances(2, 2, F(6, 12), F(6, 20)),
    },
    # 32/40 = 0.8 > beta; back, 8/40 > alpha
    crafted.oversized_over_two: {
        "dice": F(16, 48),
        **lesions(F(0, 2), F(1, 1), 0, ltpr=F(2, 2), lfpr=F(0, 1)),
    },
    # each lesion: 4 + 2 of its 10 covered, and 4/6 = 0.67 > gamma by the first alone.
    # the middle one: 4/6 covered, 2 by each lesion, of which 4/10 lie outside
    crafted.chain: {
        "dice": F(24, 34),
        **lesions(F(2, 2), F(3, 3), 1, ltpr=F(2, 2), lfpr=F(0, 3)),
    },
    # 20 covered, 13 by the good one; of the other's 30 voxels 23 lie outside: 0.77 > beta
    crafted.explained_by_gamma_exactly: {
        "dice": F(40, 64),
        **lesions(F(1, 1), F(2, 2), 1, ltpr=F(1, 1), lfpr=F(0, 2)),
    },
    # 20 covered, 12 by the good one; of the other's 30 voxels 22 lie outside: 0.73 > beta
    crafted.explained_by_less_than_gamma: {
        "dice": F(40, 63),
        **lesions(F(0, 1), F(2, 2), 0, ltpr=F(1, 1), lfpr=F(0, 2)),
    },
    # 8 of 11 predicted voxels lie outside lesions: 0.73 > beta; back, 3/11 > alpha, 7/10 = beta
    crafted.small_component_under_a_prediction: {
        "dice": F(12, 24),  # voxels count in every component: 3 + 3 shared
        "n_reference_lesions": 1,
        "reference_volume_mm3": 10,
        **lesions(F(0, 1), F(1, 1), 0, ltpr=F(1, 1), lfpr=F(0, 1)),
    },
    # now 4 of 11 lie outside
    crafted.small_lesion_under_a_prediction: {
        "dice": F(14, 25),
        "n_reference_lesions": 2,
        "reference_volume_mm3": 14,
        **lesions(F(2, 2), F(1, 1), 1, ltpr=F(2, 2), lfpr=F(0, 1)),
    },
    # 2 * 2/3 * 1/2 / (2/3 + 1/2) = 4/7
    crafted.two_of_three_found: {
        "dice": F(20, 34),
        **lesions(F(2, 3), F(1, 2), F(4, 7), ltpr=F(2, 3), lfpr=F(1, 2)),
    },
    # of 10 reference voxels 4 lie 8 * 0.5 mm = 4 mm off
    crafted.one_missed: {
        "dice": F(12, 16),
        "sensitivity": F(6, 10),
        "ppv": F(6, 6),
        "relative_volume_error_pct": F(100 * -4, 10),
        "fn_voxels": 4,
        **lesions(F(1, 2), F(1, 1), F(2, 3), ltpr=F(1, 2), lfpr=F(0, 1)),
        **distances(4, 4, F(16, 10), F(16, 16)),
    },
    # either way the distances are 1, 2, ..., 10 mm; rank 0.95 * 9 = 8.55 is 9.55 mm
    crafted.side_by_side: {
        "dice": 0,
        **lesions(F(0, 1), F(0, 1), 0, ltpr=F(0, 1), lfpr=F(1, 1)),
        **distances(10, F(955, 100), F(55, 10), F(110, 20)),
    },
    # 1/20 = 0.05 < alpha
    crafted.one_shared_voxel: {
        "dice": F(2, 40),
        **lesions(F(0, 1), F(0, 1), 0, ltpr=F(1, 1), lfpr=F(0, 1)),
    },
    # 6-connectivity: two lesions
    crafted.blocks_that_touch_by_an_edge: lesions(
        F(1, 2), F(1, 1), F(2, 3), ltpr=F(1, 2), lfpr=F(0, 1)
    ),
    crafted.blocks_that_touch_by_a_corner: lesions(
        F(1, 2), F(1, 1), F(2, 3), ltpr=F(1, 2), lfpr=F(0, 1)
    ),
    # what has 3 mm3 is no lesion, missed or false
    crafted.one_of_3_missed_and_one_of_3_false: {
        "dice": F(8, 14),
        "n_reference_lesions": 1,
        "n_predicted_lesions": 1,
        **lesions(F(1, 1), F(1, 1), 1, ltpr=F(1, 1), lfpr=F(0, 1)),
    },
    # 0 of 0 reference lesions; the prediction touches voxels, but no lesion
    crafted.only_small_in_the_reference: {
        "dice": F(6, 9),
        "n_reference_lesions": 0,
        "reference_volume_mm3": 0,
        **lesions(None, F(0, 1), 0, ltpr=None, lfpr=F(1, 1)),
    },
    crafted.only_small_in_the_prediction: {
        "dice": F(6, 9),
        "n_predicted_lesions": 0,
        "predicted_volume_mm3": 0,
        **lesions(F(0, 1), 0, 0, ltpr=F(0, 1), lfpr=None),
    },
    crafted.nothing_predicted: {
        "dice": 0,
        "ppv": None,
        "fn_voxels": 6,
        **lesions(F(0, 1), 0, 0, ltpr=F(0, 1), lfpr=None),
        **distances(None, None, None, None),
    },
    crafted.nothing_to_find: {
        "dice": None,
        "specificity": None,
        "n_reference_lesions": None,
        "n_predicted_lesions": 1,
        "predicted_volume_mm3": 5,
        "tp_voxels": 0,
        "fp_voxels": 8,
        "fn_voxels": 0,
        **lesions(None, None, None, ltpr=None, lfpr=None),
        **distances(None, None, None, None),
    },
}


DISTANCES: dict[Callable[[], Pair], Expected] = {
    # of 8 distances seven are 0 and one is 1 mm, either way; rank 0.95 * 7 = 6.65 is 0.65 mm
    crafted.moved_along_i: {
        "dice": F(14, 16),
        "jaccard": F(7, 9),
        **distances(1, F(65, 100), F(1, 8), F(2, 16)),
    },
    # every voxel is 2 mm off
    crafted.moved_along_k: {"dice": 0, **distances(2, 2, 2, 2)},
    # of 41 distances one is 6 mm; rank 0.95 * 40 = 38 is 0
    crafted.stray_voxel: {
        "dice": F(80, 81),
        **lesions(F(1, 1), F(1, 1), 1, ltpr=F(1, 1), lfpr=F(0, 1)),
        **distances(6, 0, F(6, 41), F(6, 81)),
    },
    # The central voxel lies 0.5 mm (along j) from the prediction. The reference's contour is the
    # outer 125 - 27 = 98 voxels; the prediction's has 6 more around the hole. To the outer shell
    # those along i have 1 mm (along i or two steps of j), along j 0.5 mm, along k 1 mm (two steps
    # of j): 5 mm in all. Rank 0.95 * 103 = 97.85 of 98 zeros and 0.5, ...: 0.85 * 0.5 mm.
    crafted.hole_in_the_middle: {
        "dice": F(248, 249),
        **lesions(F(1, 1), F(1, 1), 1, ltpr=F(1, 1), lfpr=F(0, 1)),
        **distances(F(1, 2), F(425, 1000), F(5, 104), F(5, 202)),
    },
    # What lies at the edge of the image is inside: the reference's contour is 27 - 8 = 19 voxels,
    # the prediction's 18 - 4 = 14. From the reference: 9 voxels of its last slice 2 mm, 18 mm in
    # all. Back: the 4 voxels with i, j < 2 of the prediction's last slice have the outer row of j
    # at 1, 1, 0.5 and 0.5 mm, 3 mm in all. Rank 0.95 * 18 = 17.1 of 10 zeros and 9 of 2 mm: 2 mm.
    crafted.in_the_corner_of_the_image: {
        "dice": F(36, 45),
        **lesions(F(1, 1), F(1, 1), 1, ltpr=F(1, 1), lfpr=F(0, 1)),
        **distances(2, 2, F(18, 19), F(18 + 3, 19 + 14)),
    },
}

BY_ANOTHER_DEFINITION: dict[tuple[Callable[[], Pair], LesionDefinition], Expected] = {
    # one shared voxel is enough
    (crafted.one_shared_voxel, ISBI2015): lesions(F(1, 1), F(1, 1), 1, ltpr=F(1, 1), lfpr=F(0, 1)),
    (crafted.oversized_over_two, ISBI2015): lesions(
        F(2, 2), F(1, 1), 1, ltpr=F(2, 2), lfpr=F(0, 1)
    ),
    (crafted.two_of_three_found, ISBI2015): lesions(
        F(2, 3), F(1, 2), F(4, 7), ltpr=F(2, 3), lfpr=F(1, 2)
    ),
    (crafted.side_by_side, ISBI2015): lesions(F(0, 1), F(0, 1), 0, ltpr=F(0, 1), lfpr=F(1, 1)),
    # without a smallest size the missed and the false one count
    (crafted.one_of_3_missed_and_one_of_3_false, ISBI2015): lesions(
        F(1, 2), F(1, 2), F(1, 2), ltpr=F(1, 2), lfpr=F(1, 2)
    ),
    (crafted.stray_voxel, ISBI2015): lesions(F(1, 1), F(1, 2), F(2, 3), ltpr=F(1, 1), lfpr=F(1, 2)),
    (crafted.nothing_predicted, ISBI2015): lesions(F(0, 1), 0, 0, ltpr=F(0, 1), lfpr=None),
    # 18-connectivity joins over edges, not over corners
    (crafted.blocks_that_touch_by_an_edge, ISBI2015): lesions(
        F(1, 1), F(1, 1), 1, ltpr=F(1, 1), lfpr=F(0, 1)
    ),
    (crafted.blocks_that_touch_by_a_corner, ISBI2015): lesions(
        F(1, 2), F(1, 1), F(2, 3), ltpr=F(1, 2), lfpr=F(0, 1)
    ),
    (crafted.blocks_that_touch_by_a_corner, CORNERS): lesions(
        F(1, 1), F(1, 1), 1, ltpr=F(1, 1), lfpr=F(0, 1)
    ),
}

VOLUMES = [
    *((make, MSSEG2016, expected) for make, expected in {**MATCHING, **DISTANCES}.items()),
    *((*key, expected) for key, expected in BY_ANOTHER_DEFINITION.items()),
]


@pytest.mark.parametrize(
    ("make", "definition", "expected"),
    [pytest.param(*row, id=f"{row[0].__name__} by {row[1].name}") for row in VOLUMES],
)
def test_a_crafted_volume_scores_what_its_story_says(
    make: Callable[[], Pair], definition: LesionDefinition, expected: Expected
) -> None:
    pair = make()
    found = score_case(
        pair.reference, pair.prediction, spacing_mm=SPACING_MM, definition=definition
    ).metrics()
    assert {name: found[name] for name in expected} == {
        name: value if value is None else pytest.approx(float(value), rel=1e-12, abs=1e-12)
        for name, value in expected.items()
    }
