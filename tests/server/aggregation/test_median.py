from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import UpdateRejected
from common.wire.field_types import Arrays
from server.aggregation.median import Median

LIKE: Arrays = {"w": np.zeros(3, np.float32), "n": np.array(0, np.int64)}


def change(w: list[float], n: int = 0) -> Arrays:
    return {"w": np.array(w, np.float32), "n": np.array(n, np.int64)}


def median_of(changes: list[Arrays], weights: list[float] | None = None) -> Arrays:
    aggregate = Median(LIKE)
    for number, one in enumerate(changes):
        aggregate.accumulate(f"site-{number}", one, 1.0 if weights is None else weights[number])
    return aggregate.result()


def test_every_number_has_its_own_middle_whatever_its_sign() -> None:
    """-4 2 9 -> 2; -1 -7 -3 -> -3; 5 -5 0 -> 0: the middles are of three different sites."""
    found = median_of([change([-4, -1, 5]), change([2, -7, -5]), change([9, -3, 0])])
    np.testing.assert_array_equal(found["w"], np.array([2, -3, 0], np.float32))
    assert found["w"].dtype == np.float32


def test_of_an_even_number_of_sites_the_middle_two_are_averaged() -> None:
    # -8 [-1 4] 100: (-1 + 4) / 2 = 1.5; the mean would be 23.75
    found = median_of([change([w, -w, 0]) for w in (100, -8, 4, -1)])
    np.testing.assert_array_equal(found["w"], np.array([1.5, -1.5, 0], np.float32))


def test_a_heavy_site_counts_as_much_as_a_light_one() -> None:
    # weighted by 97, 1 and 1 the mean would be near -50
    found = median_of([change([-50, 0, 0]), change([1, 0, 0]), change([3, 0, 0])], [97.0, 1.0, 1.0])
    assert found["w"][0] == 1


@pytest.mark.parametrize(
    ("counts", "middle"),
    [
        pytest.param([7, -2, 3], 3, id="the middle of -2, 3, 7"),
        pytest.param([-5, 4], 0, id="(-5 + 4) / 2 = -0.5, to the even number"),
        pytest.param([3, 4], 4, id="3.5, to the even number"),
    ],
)
def test_a_single_whole_number_stays_one(counts: list[int], middle: int) -> None:
    found = median_of([change([0, 0, 0], n) for n in counts])["n"]
    assert found.dtype == np.int64
    assert found.shape == ()
    assert found == middle


@given(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=3, max_size=7),
    st.floats(width=32, allow_nan=False, allow_infinity=False),
)
def test_one_site_of_three_or_more_cannot_pull_it_past_the_others(
    honest: list[float], pull: float
) -> None:
    honest = honest[: len(honest) // 2 * 2]  # an even number, so that the middle of all is one's
    found = median_of([change([w, 0, 0]) for w in (*honest, pull)])["w"][0]
    assert np.float32(min(honest)) <= found <= np.float32(max(honest))


def test_it_does_not_depend_on_who_was_quicker() -> None:
    changes = [change([0.1 * n, -0.7 * n, n**2], n) for n in (3, -1, 4, 2)]
    one, other = median_of(changes), median_of(changes[::-1])
    assert {name: one[name].tobytes() for name in one} == {
        name: other[name].tobytes() for name in other
    }


@pytest.mark.parametrize(
    ("odd", "weight", "words"),
    [
        pytest.param(
            {"w": np.array([1, np.nan, np.inf], np.float32), "n": np.array(0)},
            1.0,
            "w has 2 values that are NaN or infinite",
            id="NaN and infinity",
        ),
        pytest.param(
            {"w": np.zeros(2, np.float32), "n": np.array(0)},
            1.0,
            r"w should be float32\[3\], got float32\[2\]",
            id="another shape",
        ),
        pytest.param(
            {"w": np.zeros(3, np.float32)}, 1.0, r"missing or unknown: \['n'\]", id="gone"
        ),
        pytest.param(change([0, 0, 0]), 0.0, "want a weight above 0, got 0.0", id="no weight"),
    ],
)
def test_a_reply_that_would_spoil_it_is_refused_by_its_sites_name_and_leaves_it_as_it_was(
    odd: dict[str, npt.NDArray[np.generic]], weight: float, words: str
) -> None:
    aggregate = Median(LIKE)
    aggregate.accumulate("ghent", change([1, -2, 3], 5), 1.0)
    with pytest.raises(UpdateRejected, match=f"site lyon: .*{words}"):
        aggregate.accumulate("lyon", odd, weight)
    np.testing.assert_equal(aggregate.result(), change([1, -2, 3], 5))


def test_without_a_reply_there_is_none() -> None:
    with pytest.raises(UpdateRejected, match="no update was accumulated: there is no median"):
        Median(LIKE).result()


def test_running_statistics_are_medians_without_the_spread_between_sites() -> None:
    # variances 1, 2, 8: 2; the means' spread of many thousands adds nothing
    like: Arrays = {"n.running_mean": np.zeros(1), "n.running_var": np.zeros(1)}
    aggregate = Median(like)
    for mean, variance in ((-90.0, 8.0), (400.0, 1.0), (3.0, 2.0)):
        change = {"n.running_mean": np.array([mean]), "n.running_var": np.array([variance])}
        aggregate.accumulate("lyon", change, 1.0)
    assert aggregate.result() == {"n.running_mean": [3.0], "n.running_var": [2.0]}
