from __future__ import annotations

import numpy as np
import pytest

from common.imaging.standardization.kmeans_standardization import CentreMap, map_to_template

VOXELS = np.array([1.0, 2, 3, 9, 10, 11, 17, 18, 19])
"""Class centres 2, 10 and 18."""
TEMPLATE = np.array([0.5, 1.0, 1.25])


def test_the_piecewise_map_bends_at_the_middle_centre_and_runs_on_past_the_ends() -> None:
    # below 10: (1 - 0.5) / 8 = 1/16 a unit; above: (1.25 - 1) / 8 = 1/32
    below = [1 - 9 / 16, 0.5, 1 - 7 / 16, 1 - 1 / 16]
    above = [1 + 1 / 32, 1 + 7 / 32, 1.25, 1 + 9 / 32]
    mapped = map_to_template(VOXELS, TEMPLATE, map="piecewise")
    np.testing.assert_allclose(mapped.voxels, [*below, 1.0, *above])
    assert mapped.left_out is None


def test_the_line_is_the_least_squares_fit_through_the_three_pairs() -> None:
    # slope (-8 * 0.5 + 0 * 1 + 8 * 1.25) / (64 + 0 + 64) = 6 / 128; through (10, 2.75 / 3)
    mapped = map_to_template(VOXELS, TEMPLATE, map="line")
    np.testing.assert_allclose(mapped.voxels, 2.75 / 3 + 6 / 128 * (VOXELS - 10))
    assert mapped.left_out is None


@pytest.mark.parametrize("map", ["piecewise", "line"])
@pytest.mark.parametrize(
    ("voxels", "template", "reason"),
    [
        pytest.param(
            np.repeat([8.0, 12.0], 100),
            TEMPLATE,
            "class 1 of 3 holds 0.00% of the voxels in the brain mask, fewer than 1%",
            id="nothing near 0.3 times the mean",
        ),
        pytest.param(
            # mean 13.856, borders 6.9 and 11.1: each value is a class
            np.repeat([2.0, 10.0, 18.0], [9, 500, 491]),
            TEMPLATE,
            "class 1 of 3 holds 0.90% of the voxels",
            id="9 of 1000 voxels are dark",
        ),
        pytest.param(
            # mean 100; the border at 50 parts two centres 0.1 apart, the third is far away
            np.repeat([49.95, 50.05, 300.0], [40, 40, 20]),
            TEMPLATE,
            "two intensity classes lie 0.10% of the mean apart, less than 1%",
            id="one tissue cut in two",
        ),
        pytest.param(
            VOXELS,
            np.array([0.5, 1.0, 1.0]),
            r"template's centres [0.5, 1.0, 1.0] do not rise",
            id="a template that stands still",
        ),
    ],
)
def test_step_1_is_left_out_with_the_reason(
    voxels: np.ndarray[tuple[int], np.dtype[np.float64]],
    template: np.ndarray[tuple[int], np.dtype[np.float64]],
    reason: str,
    map: CentreMap,
) -> None:
    mapped = map_to_template(voxels, template, map=map)
    assert mapped.left_out is not None
    assert reason in mapped.left_out
    np.testing.assert_array_equal(mapped.voxels, voxels)


def test_a_class_of_one_percent_is_still_a_tissue() -> None:
    voxels = np.repeat([2.0, 10.0, 18.0], [10, 500, 490])
    assert map_to_template(voxels, TEMPLATE, map="piecewise").left_out is None
