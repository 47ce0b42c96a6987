from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap

from common.arrays import FloatArray
from server.compare.bca import bca_interval

SKEWED = [-0.05, 0.0, 0.01, 0.02, 0.02, 0.04, 0.07, 0.11, 0.3, 0.45]


def mean(values: FloatArray, axis: int) -> FloatArray:
    """Rounded, so that SciPy too sees which resamples have the very mean of the sample."""
    return np.asarray(np.round(np.mean(values, axis=axis), 12))


def mean_difference(a: FloatArray, b: FloatArray, axis: int) -> FloatArray:
    return mean(b - a, axis)


def mean_of_both(a: FloatArray, b: FloatArray, axis: int) -> FloatArray:
    return np.asarray(np.round((np.mean(a, axis=axis) + np.mean(b, axis=axis)) / 2, 12))


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_one_site_and_one_session_a_patient_is_scipys_interval(seed: int, level: float) -> None:
    ours = bca_interval([[[d] for d in SKEWED]], seed=seed, level=level)
    theirs = bootstrap(
        (np.array(SKEWED),),
        mean,
        n_resamples=9_999,
        confidence_level=level,
        method="BCa",
        rng=np.random.default_rng(seed),
    ).confidence_interval

    assert ours == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_paired_values_give_the_interval_of_their_differences() -> None:
    first = np.linspace(0.2, 0.7, len(SKEWED))
    other = first + SKEWED

    theirs = bootstrap(
        (first, other),
        mean_difference,
        paired=True,
        n_resamples=9_999,
        method="BCa",
        rng=np.random.default_rng(5),
    ).confidence_interval
    ours = bca_interval([[[float(d)] for d in other - first]], seed=5)

    assert ours == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_two_sites_are_scipys_two_samples() -> None:
    """With as many patients at each site, the mean of all is the mean of the sites' means."""
    east, west = np.array(SKEWED[:5]), np.array(SKEWED[5:])

    theirs = bootstrap(
        (east, west),
        mean_of_both,
        n_resamples=9_999,
        method="BCa",
        rng=np.random.default_rng(7),
    ).confidence_interval
    ours = bca_interval([[[d] for d in east], [[d] for d in west]], seed=7)

    assert ours == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_patients_are_drawn_within_their_site_only() -> None:
    """Nothing varies within a site, so however far apart the sites are the interval is a point."""
    strata = [[[0.1], [0.1], [0.1]], [[-0.5], [-0.5]]]
    # (3 x 0.1 - 2 x 0.5) / 5
    assert bca_interval(strata, seed=3) == pytest.approx((-0.14, -0.14))


def test_all_sessions_of_a_patient_go_together() -> None:
    """Two patients: a resample is all of one, all of the other, or both, never half of one."""
    interval = bca_interval([[[0.0, 0.2], [0.4, 0.6]]], seed=3)
    # the means are 0.1, 0.3 and 0.5; drawn by session, 0 and 0.6 would be reached as well
    assert interval == pytest.approx((0.1, 0.5))


def test_a_patient_with_more_sessions_weighs_more() -> None:
    # (3 x 1 + 0) / 4 in the middle, 0 and 1 at the ends
    interval = bca_interval([[[1.0, 1.0, 1.0], [0.0]]], seed=3, level=0.2)
    assert interval is not None
    assert interval[0] == interval[1] == 0.75


def test_sessions_that_agree_do_not_narrow_the_interval() -> None:
    """Every patient measured three times alike is no more evidence than once."""
    once = bca_interval([[[d] for d in SKEWED]], seed=11)
    thrice = bca_interval([[[d, d, d] for d in SKEWED]], seed=11)
    assert once is not None
    assert thrice == pytest.approx(once)


@pytest.mark.parametrize(
    "strata",
    [
        pytest.param([], id="no site"),
        pytest.param([[[0.1, 0.2, 0.3]]], id="one patient"),
        pytest.param([[[0.1]], [[0.3]]], id="one patient at each site"),
    ],
)
def test_below_two_patients_at_a_site_the_interval_is_undefined(
    strata: list[list[list[float]]],
) -> None:
    assert bca_interval(strata, seed=3) is None


def test_equal_runs_differ_by_exactly_nothing() -> None:
    assert bca_interval([[[0.0], [0.0], [0.0]]], seed=3) == (0.0, 0.0)


def test_the_seed_alone_decides_the_interval() -> None:
    strata = [[[d] for d in SKEWED]]
    assert bca_interval(strata, seed=3) == bca_interval(strata, seed=3)
    assert bca_interval(strata, seed=3) != bca_interval(strata, seed=4)
