from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.aggregation.validation_weight import LEAST, MOST, validation_weight


@pytest.mark.parametrize(
    ("site", "weight"),
    [
        # 1 - Dice: 0.8, 0.5 and 0.2, mean 0.5
        pytest.param("a", 1.6, id="badly: counts more"),
        pytest.param("b", 1.0, id="as the mean"),
        pytest.param("c", 0.5, id="0.4, and the bound"),
        pytest.param("d", 1.0, id="sent none"),
    ],
)
def test_a_site_counts_more_where_the_network_does_badly(site: str, weight: float) -> None:
    figures = {"a": 0.2, "b": 0.5, "c": 0.8}
    assert validation_weight(site, figures) == pytest.approx(weight)


@pytest.mark.parametrize("figures", [{}, {"a": 1.0, "b": 1.0}])
def test_without_figures_and_where_all_is_found_every_site_counts_alike(
    figures: dict[str, float],
) -> None:
    assert [validation_weight(site, figures) for site in "ab"] == [1, 1]


@given(st.dictionaries(st.sampled_from("abcdef"), st.floats(0, 1), min_size=1))
def test_no_figures_let_a_site_count_more_than_four_times_another(
    figures: dict[str, float],
) -> None:
    weights = [validation_weight(site, figures) for site in "abcdef"]
    assert min(weights) >= LEAST
    assert max(weights) <= MOST
