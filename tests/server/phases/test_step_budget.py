from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.recipe.recipe import Recipe, load_recipe
from server.phases.step_budget import own_steps, parts_of_epoch, step_seconds_after, steps_within


def recipe(*, budget: bool = True) -> Recipe:
    """40 steps a round; the steps may take a quarter of 80 s: 20 s."""
    share = ["federation.step_budget=0.25"] if budget else []
    settings = ["optimizer.steps=40", "federation.round_deadline_s=80"]
    return load_recipe("default", overrides=[*settings, *share])


@pytest.mark.parametrize(
    ("step_seconds", "steps"),
    [
        pytest.param(None, 40, id="it has shown nothing yet"),
        pytest.param(0.1, 40, id="200 would fit"),
        pytest.param(0.5, 40, id="just all: 20 / 0.5"),
        pytest.param(0.75, 26, id="20 / 0.75 = 26.7"),
        pytest.param(50.0, 1, id="not even one"),
    ],
)
def test_a_site_is_asked_for_what_fits_in_its_share_of_the_deadline(
    step_seconds: float | None, steps: int
) -> None:
    assert steps_within(step_seconds, 40, recipe()) == steps


def test_without_a_budget_every_site_takes_all_steps_and_nothing_is_kept() -> None:
    assert steps_within(50.0, 40, recipe(budget=False)) == 40
    assert step_seconds_after({}, {"lyon": 40}, {"lyon": 9.0}, recipe(budget=False)) == {}


def test_a_step_costs_what_the_last_round_showed() -> None:
    """30 s for 40 steps, then 12 s for 20; bonn was not asked and keeps what it had."""
    before = {"lyon": 5.0, "bonn": 0.25}
    after = step_seconds_after(
        before, {"lyon": 40, "ghent": 20}, {"lyon": 30.0, "ghent": 12.0}, recipe()
    )
    assert after == {"lyon": 0.75, "ghent": 0.6, "bonn": 0.25}


def test_a_site_that_was_late_is_asked_for_half_as_many_each_time() -> None:
    shown: dict[str, float] = {}
    asked = []
    for _ in range(8):
        asked.append(steps_within(shown.get("lyon"), 40, recipe()))
        shown = step_seconds_after(shown, {"lyon": asked[-1]}, {}, recipe())
    assert asked == [40, 20, 10, 5, 2, 1, 1, 1]


@pytest.mark.parametrize(
    ("steps", "cases", "parts"),
    [
        pytest.param(10, {"a": 2, "b": 3}, {"a": 4, "b": 6}, id="in proportion"),
        pytest.param(10, {"a": 1, "b": 1, "c": 4}, {"a": 2, "b": 2, "c": 6}, id="5/3, 5/3, 20/3"),
        pytest.param(5, {"b": 1, "a": 1}, {"a": 3, "b": 2}, id="equal remainders: by name"),
        pytest.param(10, {"a": 1, "b": 1, "c": 98}, {"a": 1, "b": 1, "c": 8}, id="one at least"),
        pytest.param(2, {"a": 1, "b": 1, "c": 1}, {"a": 1, "b": 1, "c": 1}, id="fewer than sites"),
        pytest.param(7, {"a": 0, "b": 1}, {"b": 7}, id="a site without a case"),
        pytest.param(7, {}, {}, id="no site"),
    ],
)
def test_an_epochs_steps_are_divided_in_proportion_to_the_cases(
    steps: int, cases: dict[str, int], parts: dict[str, int]
) -> None:
    assert parts_of_epoch(steps, cases) == parts


@given(
    st.integers(1, 2000),
    st.dictionaries(st.text("abcdef", min_size=1), st.integers(1, 500), min_size=1),
)
def test_the_parts_add_up_and_each_is_one_at_least(steps: int, cases: dict[str, int]) -> None:
    parts = parts_of_epoch(steps, cases)
    assert parts.keys() == cases.keys()
    assert sum(parts.values()) == max(steps, len(cases))
    assert min(parts.values()) >= 1


def test_a_part_is_cut_by_the_budget_as_a_sites_own_steps_are() -> None:
    """Of 40 steps ghent has 10; 20 s are 8 steps of 2.5 s."""
    whole = load_recipe(
        "default",
        overrides=[
            "optimizer.steps=40",
            "federation.round_deadline_s=80",
            "federation.step_budget=0.25",
            "federation.steps_are=whole-epoch",
        ],
    )
    own = own_steps("ghent", {"lyon": 9, "ghent": 3}, whole)
    assert own == 10
    assert steps_within(2.5, own, whole) == 8
    assert own_steps("joined-later", {"lyon": 9, "ghent": 3}, whole) == 20  # 40 over two sites
    assert own_steps("ghent", {"lyon": 9, "ghent": 3}, recipe()) == 40


def test_steps_by_the_number_of_subjects_are_the_sites_to_count() -> None:
    assert own_steps("lyon", {}, load_recipe("fenneteau2021")) is None
