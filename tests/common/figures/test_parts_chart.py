from __future__ import annotations

import pytest
from matplotlib.patches import Rectangle

from common.figures.parts_chart import PartOfSite, PartsChart
from tests.common.figures.drawn import assert_readable, assert_stands_alone, laid_out, texts


def part(name: str, site: str, n_lesions: int, lesion_ml: float) -> PartOfSite:
    return PartOfSite(part=name, site=site, n_cases=2, n_lesions=n_lesions, lesion_ml=lesion_ml)


CHART = PartsChart(
    title="Lesions by part",
    parts=[
        part("unseen", "oslo", 7, 0.5),
        part("training", "lyon", 3, 1.25),
        part("training", "ghent", 4, 2.5),
        part("test", "lyon", 1, 0.75),
    ],
)


def test_the_words_give_every_part_over_its_sites_in_the_order_of_use() -> None:
    assert CHART.in_words() == (
        "Lesions by part. training: 4 cases, 7 lesions, 3.8 ml. test: 2 cases, 1 lesion, 0.8 ml. "
        "unseen: 2 cases, 7 lesions, 0.5 ml."
    )


def test_the_bars_of_a_part_are_stacked_by_site() -> None:
    lesions, volumes = laid_out(CHART).axes
    for axes, expected in (
        # site after site: lyon, oslo, ghent in the order of their first part; train, test, unseen
        (lesions, {("oslo", 2): (0, 7), ("lyon", 0): (0, 3), ("ghent", 0): (3, 7)}),
        (volumes, {("oslo", 2): (0, 0.5), ("lyon", 0): (0, 1.25), ("ghent", 0): (1.25, 3.75)}),
    ):
        bars = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
        for (site, row), ends in expected.items():
            bar = bars[3 * ["oslo", "lyon", "ghent"].index(site) + row]
            assert (bar.get_x(), bar.get_x() + bar.get_width()) == pytest.approx(ends)


def test_totals_stand_at_the_bars_and_sites_in_the_legend() -> None:
    drawn = texts(CHART)
    assert {"7", "1", "3.8", "0.8", "0.5", "lyon", "ghent", "oslo", "training\n4 cases"} <= {*drawn}


def test_no_part_is_empty_and_still_drawn() -> None:
    nothing = PartsChart(title="x", parts=[])
    assert nothing.is_empty
    assert_stands_alone(nothing)


def test_ten_sites_with_long_names_are_readable() -> None:
    parts = [
        part(name, f"$hospital$ with a very, very long name {site}", 1000 * site, 10.0 * site)
        for name in ("training", "validation", "threshold", "test")
        for site in range(10)
    ]
    assert_readable(PartsChart(title="x", parts=parts))
    assert_stands_alone(CHART)
