"""A recipe asks for no more of a hospital's machine than the hospital allows."""

from __future__ import annotations

import pytest

from client.site.limits import Limits
from common.errors import PolicyRefused
from common.recipe.recipe import load_recipe, shipped_recipes


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_recipe_that_ships_is_within_the_limits_of_a_new_site(name: str) -> None:
    Limits().require_within(load_recipe(name))


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("compute.threads=1000000000", r"compute.threads = 1000000000, .* 64 \(limits.threads\)"),
        ("sampling.batch_size=10000000", r"sampling.batch_size = 10000000, .* 1024 \(limits.bat"),
        ("sampling.patch_shape=[1024, 1024, 1024]", r"patch_shape = 2147483648, .*batch_voxels"),
        ("optimizer.steps=1000000", r"optimizer.steps = 1000000, .* 20000 \(limits.steps\)"),
        ("network.widths=[8, 16, 32, 65536]", r"network.widths = 65536, .* 1024 \(limits.width\)"),
    ],
)
def test_what_is_too_much_is_refused_with_the_limit_that_says_so(override: str, told: str) -> None:
    recipe = load_recipe("default", overrides=[override])
    with pytest.raises(PolicyRefused, match=told) as refused:
        Limits().require_within(recipe)
    assert refused.value.code == "site-limits"


def test_everything_that_is_too_much_is_named_at_once() -> None:
    recipe = load_recipe("default", overrides=["compute.threads=3", "optimizer.steps=11"])
    with pytest.raises(PolicyRefused, match=r"limits\.threads.*; .*limits\.steps"):
        Limits(threads=2, steps=10).require_within(recipe)
    Limits(threads=3, steps=11).require_within(recipe)


def test_steps_that_grow_with_the_subjects_are_bounded_when_they_are_known() -> None:
    Limits(steps=10).require_steps(10)
    with pytest.raises(PolicyRefused, match=r"11 optimizer steps in a round, .* 10 \(limits.steps"):
        Limits(steps=10).require_steps(11)
