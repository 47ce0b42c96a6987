from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.figures.gallery import Pick, gallery


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param([], [], id="no case"),
        pytest.param([("a", None)], [], id="no case with a value"),
        pytest.param([("a", 0.4)], [("only", "a")], id="one"),
        pytest.param([("a", 0.4), ("b", 0.1)], [("best", "a"), ("worst", "b")], id="two"),
        pytest.param(
            [("a", 0.4), ("b", 0.9), ("c", 0.1)],
            [("best", "b"), ("median", "a"), ("worst", "c")],
            id="three",
        ),
        pytest.param(
            [("a", 0.4), ("b", 0.9), ("c", 0.1), ("d", None), ("e", 0.5)],
            [("best", "b"), ("median", "a"), ("worst", "c")],
            id="four: of 0.4 and 0.5 in the middle the lower one",
        ),
        pytest.param(
            [("b", 0.0), ("c", 0.0), ("a", 0.0)],
            [("best", "c"), ("median", "b"), ("worst", "a")],
            id="equal: by name",
        ),
    ],
)
def test_gallery(rows: list[tuple[str, float | None]], expected: list[tuple[str, str]]) -> None:
    assert [(pick.place, pick.name) for pick in gallery(rows)] == expected


def test_a_pick_says_its_value() -> None:
    assert gallery([("a", 0.25)]) == [Pick("only", "a", 0.25)]


def test_a_value_that_is_no_number_is_no_value() -> None:
    assert gallery([("a", math.nan), ("b", 0.5)]) == [Pick("only", "b", 0.5)]


@given(st.lists(st.floats(0, 1), max_size=9))
def test_no_case_is_shown_twice_and_the_order_of_the_rows_does_not_matter(
    values: list[float],
) -> None:
    rows: list[tuple[str, float | None]] = [(f"sub-{n}", v) for n, v in enumerate(values)]
    picks = gallery(rows)

    assert len({pick.name for pick in picks}) == len(picks) == min(len(values), 3)
    assert picks == gallery(rows[::-1])
    assert [pick.value for pick in picks] == sorted((p.value for p in picks), reverse=True)
