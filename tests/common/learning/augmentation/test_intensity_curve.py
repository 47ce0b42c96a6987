from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from common.learning.augmentation.intensity_curve import KNOTS, along_curve, drawn_slopes

seeds = st.integers(0, 2**32 - 1)


@given(seed=seeds, values=st.lists(st.integers(-400, 1200), min_size=2, max_size=30, unique=True))
def test_a_drawn_curve_keeps_the_order_of_intensities(seed: int, values: list[int]) -> None:
    ordered = np.sort(np.array(values, np.float32)) / np.float32(50)  # at least 0.02 apart
    found = along_curve(ordered, drawn_slopes(np.random.default_rng(seed)))
    assert (np.diff(found) > 0).all()


@given(seed=seeds)
def test_a_normal_distribution_keeps_its_mean_and_deviation(seed: int) -> None:
    z = np.random.default_rng(0).standard_normal(20_000).astype(np.float32)
    found = along_curve(z, drawn_slopes(np.random.default_rng(seed)))
    assert abs(found.mean()) < 0.05
    assert abs(found.std() - 1) < 0.05


def test_equal_slopes_change_nothing_but_the_grid_s_rounding() -> None:
    z = np.linspace(-6, 9, 31, dtype=np.float32)
    found = along_curve(z, np.full(len(KNOTS) + 1, 1.7))
    # the normal distribution between -3 and 3 has the variance 1 - 6 phi(3) / 0.9973 = 0.9733; the
    # 61 values count both ends whole, 0.05 phi(3) more each: 0.9768, a deviation of 0.9883
    np.testing.assert_allclose(found, z / 0.9883, rtol=1e-3, atol=1e-4)


def test_a_bend_is_where_its_knot_is() -> None:
    slopes = np.ones(len(KNOTS) + 1)
    slopes[-1] = 2.0  # above the last knot, 5
    z = np.array([4, 5, 6, 7], np.float32)
    steps = np.diff(along_curve(z, slopes))
    # twice as steep above 5, whatever the scaling
    np.testing.assert_allclose(steps[1:] / steps[0], [2, 2], rtol=1e-4)
