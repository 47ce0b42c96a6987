"""What the command line says of a recipe, said twice."""

from __future__ import annotations

import pytest

from common.errors import ConfigError
from common.recipe.recipe import load_recipe
from server.cli.options import overrides_of


@pytest.mark.parametrize(
    ("changes", "rounds", "seed", "said"),
    [
        (["federation.rounds=5"], 3, None, "--rounds and --set federation.rounds say the same"),
        (["federation={rounds=5}"], 3, None, "--rounds and --set federation.rounds say the same"),
        (["seed=1"], None, 2, "--seed and --set seed say the same"),
        (["optimizer.steps=1", "optimizer.steps=2"], None, None, "optimizer.steps is given twice"),
    ],
)
def test_one_setting_given_in_two_ways_is_refused(
    changes: list[str], rounds: int | None, seed: int | None, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        overrides_of(changes, rounds=rounds, seed=seed)


def test_settings_that_differ_stand_side_by_side() -> None:
    assert overrides_of(["optimizer.steps=1"], rounds=3, seed=0) == [
        "optimizer.steps=1",
        "federation.rounds=3",
        "seed=0",
    ]


@pytest.mark.parametrize("key", ["wait_for_sites_s", "round_deadline_s"])
def test_no_run_waits_longer_than_a_clock_can_count(key: str) -> None:
    with pytest.raises(ConfigError, match=rf"federation\.{key}: .*less than or equal to 2592000"):
        load_recipe("default", overrides=[f"federation.{key}=1e300"])
