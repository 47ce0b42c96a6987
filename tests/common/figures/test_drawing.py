from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from common.figures.drawing import (
    COLOURS,
    WIDTH_IN,
    counted,
    figure_of,
    shortened,
    signed,
    spread_apart,
    styles,
    svg_of,
    widened,
)
from tests.common.figures.drawn import assert_readable


def test_a_long_name_loses_its_middle_and_keeps_both_ends() -> None:
    # 12 in all: 1 for the dots, (12 - 1) // 3 = 3 at the end, 8 at the beginning
    assert shortened("hospital-north-02", 12) == "hospital\N{HORIZONTAL ELLIPSIS}-02"
    assert shortened("hospital-02", 12) == "hospital-02"


@given(st.text(max_size=60), st.integers(4, 40))
def test_a_shortened_name_is_never_longer_than_asked(name: str, most: int) -> None:
    cut = shortened(name, most)
    assert len(cut) <= most
    assert (cut == name) == (len(name) <= most)


def test_places_that_are_too_close_move_apart_around_their_middle() -> None:
    # 1.0 and 1.2 have their middle at 1.1: 1.1 -+ 0.5; 9 stays
    assert spread_apart([9.0, 1.0, 1.2], 1.0) == pytest.approx([9.0, 0.6, 1.6])


def test_a_cluster_that_grows_into_the_next_place_takes_it_in() -> None:
    # 0, 0 would be at -0.5 and 0.5, less than 1 from 1.2: all three around their middle, 0.4
    assert spread_apart([0.0, 0.0, 1.2], 1.0) == pytest.approx([-0.6, 0.4, 1.4])


@given(st.lists(st.floats(-100, 100), max_size=8), st.floats(0.1, 5))
def test_spread_places_keep_their_order_and_distance(places: list[float], gap: float) -> None:
    moved = spread_apart(places, gap)

    order = sorted(range(len(places)), key=lambda index: places[index])
    ranked = [moved[index] for index in order]
    assert all(b - a >= gap - 1e-6 for a, b in itertools.pairwise(ranked))
    assert sum(moved) == pytest.approx(sum(places), abs=1e-6)


@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [(0.5, 2, "+0.50"), (-0.5, 2, "-0.50"), (-0.001, 2, "0.00"), (0.0, 3, "0.000")],
)
def test_what_rounds_to_zero_has_no_sign(value: float, digits: int, shown: str) -> None:
    assert signed(value, digits) == shown


def test_an_axis_is_widened_around_its_middle_and_only_where_it_is_too_narrow() -> None:
    assert widened((4.0, 4.0), 1.0) == (3.5, 4.5)
    assert widened((0.0, 3.0), 1.0) == (0.0, 3.0)


@pytest.mark.parametrize(("n", "words"), [(0, "0 cases"), (1, "1 case"), (1200, "1,200 cases")])
def test_one_is_singular(n: int, words: str) -> None:
    assert counted(n, "case") == words


def test_no_two_of_the_first_twenty_styles_are_equal_even_in_grey() -> None:
    made = [style for style, _ in zip(styles(), range(20), strict=False)]
    assert len({(dash, marker) for _, dash, marker in made}) == 20
    assert {colour for colour, _, _ in made} == set(COLOURS)


def test_a_drawing_has_the_width_and_height_asked_for() -> None:
    svg = svg_of(lambda figure: None, height_in=2.0)
    assert f'width="{WIDTH_IN * 72:g}pt" height="144pt"' in svg


def test_text_with_dollars_is_not_read_as_mathematics() -> None:
    def draw(figure: Figure) -> None:
        figure.text(0.5, 0.5, r"$\nonsense$")

    assert not figure_of(draw, height_in=1).texts[0].get_parse_math()


class TwoTexts:
    """A chart of two texts on one another, or of one that leaves the figure."""

    title = "two"
    is_empty = False

    def __init__(self, x: float, y: float) -> None:
        self.x, self.y = x, y

    def in_words(self) -> str:
        return ""

    def svg(self) -> str:
        return svg_of(self.draw, height_in=2)

    def draw(self, figure: Figure) -> None:
        figure.text(0.5, 0.5, "one", fontsize=9)
        figure.text(self.x, self.y, "other", fontsize=9)


@pytest.mark.parametrize(
    ("x", "y", "fault"), [(0.51, 0.51, "touches"), (0.99, 0.2, "other"), (0.2, 0.99, "other")]
)
def test_the_check_of_the_charts_sees_texts_that_touch_or_leave_the_figure(
    x: float, y: float, fault: str
) -> None:
    with pytest.raises(AssertionError, match=fault):
        assert_readable(TwoTexts(x, y))
    assert_readable(TwoTexts(0.1, 0.1))
