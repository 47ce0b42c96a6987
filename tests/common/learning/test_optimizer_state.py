from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from common.errors import WireError
from common.learning.model import new_network, new_site_head
from common.learning.networks.parameters import parameters_of
from common.learning.optimizer_state import (
    SLOTS,
    fresh_state,
    impossible_values,
    load_state,
    state_of,
    trained_parameters,
)
from common.learning.sampling.batch import Batch
from common.learning.training import TrainingOutcome, train_locally
from common.recipe.recipe import Recipe, load_recipe

SMALL = (
    "network.widths=[4, 4, 4, 64]",
    "network.first_stride=1",
    "network.norm=group",
    "task.modalities=['FLAIR']",
    "sampling.patch_shape=[16, 16, 16]",
    "sampling.batch_size=2",
    "compute.threads=1",
    "optimizer.decay=1",
)


def recipe(steps: int, optimizer: str, state: str = "kept") -> Recipe:
    settings = [f"optimizer.steps={steps}", f"optimizer.name={optimizer}"]
    return load_recipe("default", overrides=[*SMALL, *settings, f"optimizer.state={state}"])


class FixedPatches:
    """The same patches in the same order, whatever the seed: training draws them one by one."""

    def __init__(self, first: int = 0) -> None:
        self._next = first

    def draw_batch(self, n_patches: int, random: np.random.Generator) -> Batch:
        own = np.random.default_rng(self._next)
        self._next += 1
        images = own.normal(size=(n_patches, 1, 16, 16, 16)).astype(np.float32)
        return Batch(images, images > 1, np.zeros(n_patches, np.intp))


def trained(
    settings: Recipe, network: torch.nn.Module, first_patch: int, state: Any = None
) -> TrainingOutcome:
    torch.set_num_threads(1)
    return train_locally(
        network,
        None,
        FixedPatches(first_patch),
        recipe=settings,
        sites=[0],
        round_index=1,
        seed=0,
        optimizer_state=state,
    )


@pytest.mark.parametrize("optimizer", ["adam", "adadelta"])
def test_two_rounds_with_the_state_between_them_are_one_training_bit_by_bit(optimizer: str) -> None:
    whole, rounds = new_network(recipe(4, optimizer)), new_network(recipe(2, optimizer))
    trained(recipe(4, optimizer), whole, 0)
    first = trained(recipe(2, optimizer), rounds, 0)
    trained(recipe(2, optimizer), rounds, 2, first.optimizer_state)
    restarted = new_network(recipe(2, optimizer))
    trained(recipe(2, optimizer), restarted, 0)
    trained(recipe(2, optimizer), restarted, 2)
    expected, found, other = (parameters_of(n) for n in (whole, rounds, restarted))
    assert all(found[name].tobytes() == array.tobytes() for name, array in expected.items())
    assert any(other[name].tobytes() != array.tobytes() for name, array in expected.items())


def test_a_state_of_zeros_is_a_fresh_start_and_no_state_comes_of_reset() -> None:
    ends = []
    for state in (None, fresh_state(recipe(2, "adam"), n_sites=1)):
        network = new_network(recipe(2, "adam"))
        trained(recipe(2, "adam"), network, 0, state)
        ends.append(parameters_of(network))
    assert all(ends[0][name].tobytes() == ends[1][name].tobytes() for name in ends[0])
    reset = recipe(1, "adam", "reset")
    assert trained(reset, new_network(reset), 0).optimizer_state == {}


def test_what_is_loaded_is_what_is_read_back_and_a_parameter_without_steps_stays_fresh() -> None:
    settings = recipe(1, "adam")
    network = new_network(settings)
    parameters = trained_parameters(network, new_site_head(settings, network, 3))
    optimizer = torch.optim.Adam(parameters.values())
    state = fresh_state(settings, n_sites=3)
    assert all(not np.any(array) for array in state.values())
    unmoved, *moved = parameters
    for number, name in enumerate(moved, start=1):
        state[f"step.{name}"] = np.float32(number) * np.ones((), np.float32)
        state[f"exp_avg.{name}"] -= number
        state[f"exp_avg_sq.{name}"] += number
    load_state(optimizer, parameters, SLOTS["adam"], state)
    assert parameters[unmoved] not in optimizer.state
    np.testing.assert_equal(state_of(optimizer, parameters, SLOTS["adam"]), state)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param("missing", "missing or unknown", id="an array is missing"),
        pytest.param("shape", r"want exp_avg_sq\S+ as float32", id="another shape"),
        pytest.param("negative", r"exp_avg_sq\S+ is not finite, or below 0", id="a square below 0"),
        pytest.param("nan", r"exp_avg_sq\S+ is not finite", id="not a number"),
    ],
)
def test_a_state_that_cannot_be_is_refused(change: str, words: str) -> None:
    settings = recipe(1, "adam")
    network = new_network(settings)
    parameters = trained_parameters(network, None)
    state = fresh_state(settings, n_sites=1)
    name = next(name for name in state if name.startswith("exp_avg_sq."))
    if change == "missing":
        del state[name]
    elif change == "shape":
        state[name] = state[name][:-1]
    else:
        state[name].flat[0] = -1e-9 if change == "negative" else np.nan
    with pytest.raises(WireError, match=words):
        load_state(torch.optim.Adam(parameters.values()), parameters, SLOTS["adam"], state)


def test_only_a_mean_of_gradients_may_be_below_zero() -> None:
    below = np.array([-1.0], np.float32)
    assert impossible_values({"exp_avg.network.w": below}) is None
    for slot in ("exp_avg_sq", "square_avg", "acc_delta", "step"):
        assert impossible_values({f"{slot}.network.w": below}) == f"{slot}.network.w"
