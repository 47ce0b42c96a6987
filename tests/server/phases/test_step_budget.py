from __future__ import annotations

import pytest

from common.recipe.recipe import Recipe, load_recipe
from server.phases.step_budget import step_seconds_after, steps_within


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
    assert steps_within(step_seconds, recipe()) == steps


def test_without_a_budget_every_site_takes_all_steps_and_nothing_is_kept() -> None:
    assert steps_within(50.0, recipe(budget=False)) == 40
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
        asked.append(steps_within(shown.get("lyon"), recipe()))
        shown = step_seconds_after(shown, {"lyon": asked[-1]}, {}, recipe())
    assert asked == [40, 20, 10, 5, 2, 1, 1, 1]
