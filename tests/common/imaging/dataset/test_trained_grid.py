from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from common.imaging.dataset.prepared import PreparedCase
from common.imaging.dataset.trained_grid import TrainedGrid
from tests.volumes import SHAPE, brain_voxels, oblique_affine, stripped_brain

GRID = TrainedGrid.of_sites(
    [(1.0, 1.0, 3.0), (0.8, 1.2, 3.0), (0.9, 1.1, 3.0)], n_stripped=7, n_cases=7
)


def case(*spacing_mm: float, stripped: bool = True) -> PreparedCase:
    right, front, up = spacing_mm
    return PreparedCase(
        subject="sub-01",
        session=None,
        control=False,
        image=stripped_brain().data[None],
        brain=brain_voxels(),
        lesions=None,
        crop_start=(0, 0, 0),
        grid_shape=SHAPE,
        affine=oblique_affine((right, front, up)),
        stripped=stripped,
    )


def test_the_range_is_that_of_the_sites_axis_by_axis() -> None:
    assert (GRID.lowest_mm, GRID.highest_mm) == ((0.8, 1.0, 3.0), (1.0, 1.2, 3.0))
    assert GRID.stripped == "all"


@pytest.mark.parametrize(
    ("spacing_mm", "doubtful"),
    [
        pytest.param((0.9, 1.1, 3.0), False, id="inside"),
        pytest.param((0.73, 1.31, 3.29), False, id="within 10 % of 0.8, 1.2 and 3"),
        pytest.param((0.71, 1.1, 3.0), True, id="0.71 is below 0.72"),
        pytest.param((0.9, 1.1, 3.4), True, id="3.4 is above 3.3"),
        pytest.param((3.0, 1.1, 0.9), True, id="the same numbers along other axes"),
    ],
)
def test_a_spacing_more_than_a_tenth_beyond_the_trained_ones_is_doubtful(
    spacing_mm: tuple[float, ...], doubtful: bool
) -> None:
    doubts = GRID.doubts(case(*spacing_mm), what_to_do="Do this.")
    assert len(doubts) == doubtful
    for doubt in doubts:
        right, front, up = spacing_mm
        assert f"measure {right:.2f} x {front:.2f} x {up:.2f} mm (right, front, up)" in doubt
        assert "0.80 x 1.00 x 3.00 to 1.00 x 1.20 x 3.00 mm" in doubt
        assert doubt.endswith("Do this.")


def test_a_head_is_doubtful_where_all_that_trained_were_stripped() -> None:
    head = case(0.9, 1.1, 3.0, stripped=False)
    [doubt] = GRID.doubts(head, what_to_do="Do this.")
    assert "trained on skull-stripped images alone" in doubt
    some = TrainedGrid.of_sites([(0.9, 1.1, 3.0)], n_stripped=6, n_cases=7)
    assert some.stripped == "some"
    assert some.doubts(head, what_to_do="Do this.") == ()


def test_the_rounding_of_the_statistics_raises_no_doubt() -> None:
    one = TrainedGrid.of_sites([(0.01, 1.22, 1.5)], n_stripped=0, n_cases=1)
    assert one.stripped == "none"
    assert (
        dataclasses.replace(one, lowest_mm=(1.0, 1.22, 1.5), highest_mm=(1.0, 1.22, 1.5)).doubts(
            case(1.0, float(np.sqrt(1.49)), 1.503), what_to_do=""
        )
        == ()
    )
