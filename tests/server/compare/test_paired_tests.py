from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.compare.paired_tests import holm, rank_biserial, signed_rank_p


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        # ranks 1..5, the sum of the negative ones W = 1; of the 32 sign patterns 2 have W <= 1
        pytest.param([0.5, -0.1, 0.4, 0.3, 0.2], 2 * 2 / 32, id="one small loss"),
        pytest.param([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], 2 * 1 / 64, id="all gains"),
        # |d| ties: ranks 1.5, 1.5, 3; W = 1.5: of 8 patterns W <= 1.5 in 0, 1.5, 1.5
        pytest.param([-0.1, 0.1, 0.2], 2 * 3 / 8, id="a tie, still exact"),
        pytest.param([0.5 - 0.4, -(0.3 - 0.2), 0.2], 2 * 3 / 8, id="a tie but for rounding"),
        pytest.param([0.0, 0.0, 0.1, 0.2, 0.3], 2 * 1 / 8, id="zeros are left out"),
        pytest.param([0.0, 0.0], 1.0, id="nothing but zeros"),
        pytest.param([0.2], 1.0, id="one difference"),
    ],
)
def test_p_of_the_signed_rank_test(differences: list[float], expected: float) -> None:
    assert signed_rank_p(differences) == pytest.approx(expected)


def test_without_differences_there_is_no_p() -> None:
    assert signed_rank_p([]) is None


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        # ranks 5, 1, 4, 3, 2: (14 - 1) / 15
        pytest.param([0.5, -0.1, 0.4, 0.3, 0.2], 13 / 15, id="one small loss"),
        # ranks 1.5, 1.5, 3: (1.5 - 4.5) / 6; the zero has no rank
        pytest.param([0.1, -0.1, -0.2, 0.0], -0.5, id="a tie and a zero"),
        pytest.param([3.0, 1.0], 1.0, id="all gains"),
    ],
)
def test_rank_biserial_is_the_difference_of_rank_sums_over_their_total(
    differences: list[float], expected: float
) -> None:
    assert rank_biserial(differences) == pytest.approx(expected)


def test_without_a_difference_there_is_no_effect_size() -> None:
    assert rank_biserial([]) is None
    assert rank_biserial([0.0, 0.0]) is None


@given(st.lists(st.integers(-50, 50), max_size=5))
def test_exchanging_the_runs_turns_the_effect_round_and_keeps_p(values: list[int]) -> None:
    there = [value / 64 for value in values]
    back = [-value for value in there]
    effect, opposite = rank_biserial(there), rank_biserial(back)

    assert signed_rank_p(there) == pytest.approx(signed_rank_p(back))
    assert effect == (None if opposite is None else pytest.approx(-opposite))
    assert effect is None or -1 <= effect <= 1


@pytest.mark.parametrize(
    ("p_values", "expected"),
    [
        # sorted 0.005, 0.01, 0.03, 0.04: x4 = 0.02, x3 = 0.03, x2 = 0.06, x1 = 0.04 -> 0.06
        pytest.param([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02], id="out of order"),
        pytest.param([0.6, 0.7], [1.0, 1.0], id="never above 1"),
        pytest.param([0.01, None, 0.04], [0.02, None, 0.04], id="an undefined one is no test"),
        pytest.param([0.02, 0.02], [0.04, 0.04], id="equal ones stay equal"),
        pytest.param([], [], id="none"),
    ],
)
def test_holm(p_values: list[float | None], expected: list[float | None]) -> None:
    corrected = holm(p_values)
    assert [None if p is None else round(p, 12) for p in corrected] == expected


@given(st.lists(st.floats(0, 1), max_size=8))
def test_a_corrected_p_is_not_smaller_and_keeps_the_order(p_values: list[float]) -> None:
    pairs = sorted(zip(p_values, [p for p in holm(p_values) if p is not None], strict=True))
    assert all(before <= after <= 1 for before, after in pairs)
    assert [after for _, after in pairs] == sorted(after for _, after in pairs)
