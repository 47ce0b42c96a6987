from __future__ import annotations

import numpy as np
import pytest
from matplotlib.collections import PolyCollection

from common.figures.raincloud import Raincloud, SiteCases
from tests.common.figures.drawn import assert_readable, assert_stands_alone, laid_out, texts, x_of


def site(name: str, *values: float, n_planned: int | None = None) -> SiteCases:
    """A site whose cases are called after it."""
    cases = tuple((f"sub-{name}{index}", value) for index, value in enumerate(values))
    return SiteCases(site=name, n_planned=n_planned or len(values), cases=cases)


def chart(*sites: SiteCases, **changes: object) -> Raincloud:
    settings: dict[str, object] = {"title": "Dice", "metric": "Dice", **changes}
    return Raincloud(sites=sites, **settings)  # type: ignore[arg-type] # named by each test


NORTH = site("north", 0.8, 0.5, 0.7, n_planned=4)
SOUTH = site("south", 0.9, 0.2, 0.3, 0.6, 0.5)


def n_violins(drawn: Raincloud) -> int:
    """Filled shapes less the box that every site with a case has."""
    [axes] = laid_out(drawn).axes
    shapes = [c for c in axes.collections if isinstance(c, PolyCollection)]
    return len(shapes) - sum(bool(one.cases) for one in drawn.sites)


def test_the_words_give_each_sites_cases_mean_median_and_worst_case() -> None:
    # north: (0.8 + 0.5 + 0.7) / 3; south: 2.5 / 5
    assert chart(NORTH, SOUTH, worst_site="south").in_words() == (
        "Dice. north: 3 of 4 cases, mean 0.667, median 0.700, worst sub-north1 with "
        "0.500. south (worst site): 5 of 5 cases, mean 0.500, median 0.500, worst sub-south1 "
        "with 0.200."
    )


def test_the_worst_case_of_each_site_is_named_in_the_picture() -> None:
    assert {"sub-north1  0.5", "sub-south1  0.2"} <= set(texts(chart(NORTH, SOUTH)))


def test_of_distances_the_highest_is_the_worst() -> None:
    drawn = chart(NORTH, higher_is_better=False)
    assert "sub-north0  0.8" in texts(drawn)
    assert "worst sub-north0 with 0.800" in drawn.in_words()


def test_scored_and_planned_cases_stand_under_each_name_and_the_worst_site_is_marked() -> None:
    found = texts(chart(NORTH, SOUTH, worst_site="south"))
    assert "north\n3 of 4 cases" in found
    assert "south\n5 of 5 cases, worst site" in found


def test_every_case_is_a_dot() -> None:
    [axes] = laid_out(chart(NORTH, SOUTH)).axes
    rain = [x_of(line) for line in axes.lines if line.get_markersize() == 4]
    assert rain == [NORTH.values, SOUTH.values]


def test_a_violin_needs_five_cases_that_differ() -> None:
    assert n_violins(chart(SOUTH)) == 1
    assert n_violins(chart(NORTH)) == 0
    assert n_violins(chart(site("alike", *[0.1] * 7))) == 0


def test_a_site_without_a_value_says_so() -> None:
    drawn = chart(NORTH, site("east", n_planned=2))
    assert "no case with a value" in texts(drawn)
    assert "east: 0 of 2 cases." in drawn.in_words()


def test_a_chart_without_a_value_is_empty_and_still_drawn() -> None:
    for drawn in (chart(), chart(site("east", n_planned=2))):
        assert drawn.is_empty
        assert_stands_alone(drawn)
    assert not chart(NORTH).is_empty


@pytest.mark.parametrize(
    "drawn",
    [
        pytest.param(chart(NORTH, SOUTH, worst_site="south"), id="two sites"),
        pytest.param(chart(site("one", 23.4), metric="HD95, mm"), id="one case"),
        pytest.param(chart(site("alike", *[0.0] * 9)), id="nothing but 0"),
        pytest.param(
            chart(site("both-ends", 0.0, 1.0, 1.0, 0.0, 0.5), value_range=(0, 1)), id="both ends"
        ),
        pytest.param(chart(site("far", 0.1, 0.1, 9e4)), id="one far from the others"),
        pytest.param(
            chart(
                *(
                    site(f"$hospital$ < of_a & very-long-name-{i}", *np.linspace(0, i / 20, i + 1))
                    for i in range(20)
                )
            ),
            id="twenty sites with long names",
        ),
    ],
)
def test_nothing_overlaps_or_leaves_the_figure(drawn: Raincloud) -> None:
    assert_readable(drawn)


def test_a_drawing_with_any_name_stands_alone_and_is_the_same_every_time() -> None:
    odd = SiteCases(site='a < b & $c$ --> "d"', n_planned=1, cases=(("$\\x$ --", 0.5),))
    assert_stands_alone(chart(odd, SOUTH))
