from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from common.arrays import BoolArray
from common.phantom.grid import PhantomGrid
from common.phantom.lesions import Lesion
from common.phantom.raters import Rater, drawn_raters, rated, seen_share

GRID = PhantomGrid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (40, 36, 30))
STEADY = Rater(border_mm=0.0, slip_mm=0.0, sees_mm3=0.001, believes=0.0)


def ball(centre: tuple[int, int, int], radius_mm: float, bright: float = 1.0) -> Lesion:
    i, j, k = np.indices(GRID.shape)
    apart = np.sqrt((i - centre[0]) ** 2 + (j - centre[1]) ** 2 + (k - centre[2]) ** 2)
    return Lesion(
        box=(slice(0, 40), slice(0, 36), slice(0, 30)),
        outside_mm=apart - radius_mm,
        ground=np.ones(GRID.shape, dtype=np.float32),
        bright=bright,
        dark=0.0,
    )


NEW = (ball((10, 10, 10), 4.0), ball((28, 24, 18), 3.0))
SPOT = (ball((30, 8, 22), 3.0, bright=0.4),)


def mask(rater: Rater, new: Sequence[Lesion], spots: Sequence[Lesion]) -> BoolArray:
    return rated(rater, new, spots, GRID, np.random.default_rng(2)) > 0.5


def test_rater_who_sees_all_and_slips_nowhere_keeps_to_the_lesions() -> None:
    drawn = mask(STEADY, NEW, SPOT)
    truth = np.any([lesion.outside_mm < 0 for lesion in NEW], axis=0)
    overlap = 2 * np.count_nonzero(drawn & truth) / (drawn.sum() + truth.sum())
    # the hand alone wobbles, by 0.25 mm
    assert 0.88 < overlap < 1.0
    assert not drawn[SPOT[0].outside_mm < 0].any()


def test_generous_rater_draws_outside_and_a_cautious_one_inside() -> None:
    n_out, n_true, n_in = (
        int(mask(replace(STEADY, border_mm=mm), NEW, ()).sum()) for mm in (0.6, 0.0, -0.6)
    )
    # radius 4 and 3 mm: (4.6^3 + 3.6^3) / (4^3 + 3^3) = 1.58 times the volume; inside 0.59 times
    assert n_out / n_true == pytest.approx(1.58, rel=0.12)
    assert n_in / n_true == pytest.approx(0.59, rel=0.12)


def test_lesion_of_the_volume_a_rater_just_sees_is_missed_half_of_the_time() -> None:
    lesion = NEW[0]
    volume_mm3 = float(lesion.fraction(1.0).sum())
    assert seen_share(replace(STEADY, sees_mm3=volume_mm3), lesion, 1.0) == pytest.approx(0.5)
    # a contrast of one half counts a quarter of the volume: 1 / (1 + 4^2)
    faint = replace(lesion, bright=0.5)
    assert seen_share(replace(STEADY, sees_mm3=volume_mm3), faint, 1.0) == pytest.approx(1 / 17)


def test_rater_who_sees_nothing_draws_nothing() -> None:
    assert not mask(replace(STEADY, sees_mm3=1e9), NEW, SPOT).any()


def test_rater_who_believes_everything_draws_what_only_looks_like_a_lesion() -> None:
    drawn = mask(replace(STEADY, believes=1.0, sees_mm3=1e9), NEW, SPOT)
    assert drawn[SPOT[0].outside_mm < -1].all()


def test_raters_differ_and_come_from_the_seed_alone() -> None:
    four = drawn_raters(4, 1)
    assert four == drawn_raters(4, 1)
    assert four != drawn_raters(4, 2)
    # one border in each quarter of -0.5 to 0.5 mm
    assert sorted(int((r.border_mm + 0.5) / 0.25) for r in four) == [0, 1, 2, 3]
