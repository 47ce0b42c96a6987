from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import safetensors.numpy

from common.errors import ModelFileError
from common.imaging.dataset.trained_grid import TrainedGrid
from common.metrics.threshold_choice import ThresholdChoice
from common.model_file import FORMAT, Model, read_model, write_model
from common.recipe.recipe import load_recipe

CHOICE = ThresholdChoice(
    threshold=0.35,
    by="lesion_f1",
    split="cases that the training sites keep from training",
    n_cases=3,
    thresholds=(0.05, 0.35, 0.5),
    mean_dice=(0.125, 0.1, 1 / 3),
    mean_lesion_f1=(0.0, 0.7, 0.2),
)
GRID = TrainedGrid(lowest_mm=(0.9, 1.0, 1.0), highest_mm=(1.0, 1.0, 3.0), stripped="some")
MODEL = Model(
    recipe=load_recipe("default"),
    template={"FLAIR": (0.25, 0.875, 1.25)},
    threshold=0.5,
    round_index=3,
    run="r1",
    parameters={"w": np.array([[1.5, -2.0]], np.float32)},
)


def test_a_choice_sets_the_threshold_and_comes_back_to_the_last_digit(tmp_path: Path) -> None:
    write_model(MODEL.with_choice(CHOICE), tmp_path / "model.safetensors")
    model = read_model(tmp_path / "model.safetensors")
    assert model.threshold == 0.35
    assert model.threshold_choice == CHOICE
    np.testing.assert_array_equal(model.parameters["w"], MODEL.parameters["w"])


def test_without_a_choice_the_threshold_is_the_recipes_own(tmp_path: Path) -> None:
    write_model(MODEL, tmp_path / "model.safetensors")
    model = read_model(tmp_path / "model.safetensors")
    assert (model.threshold, model.threshold_choice) == (0.5, None)


def test_a_nyul_template_comes_back(tmp_path: Path) -> None:
    template = {"FLAIR": (0.0, *(i / 3 + 20 for i in range(11)), 100.0)}
    recipe = load_recipe("default", overrides=["standardization.method=nyul"])
    write_model(dataclasses.replace(MODEL, recipe=recipe, template=template), tmp_path / "model")
    assert read_model(tmp_path / "model").template == template


def test_the_trained_grid_comes_back_and_an_older_file_has_none(tmp_path: Path) -> None:
    write_model(MODEL, tmp_path / "older")
    assert read_model(tmp_path / "older").trained_grid is None
    write_model(dataclasses.replace(MODEL, trained_grid=GRID).with_choice(CHOICE), tmp_path / "new")
    assert read_model(tmp_path / "new").trained_grid == GRID


def test_half_the_digits_come_back_as_float32_and_counters_stay_whole(tmp_path: Path) -> None:
    """float16 has 11 binary digits: 1 + 1/1024 is one of its numbers, 1 + 1/4096 becomes 1."""
    parameters: dict[str, npt.NDArray[Any]] = {
        "w": np.array([1 + 1 / 1024, 1 + 1 / 4096, -65504.0, 6e-8, 0.0], np.float32),
        "n": np.array(70_001, np.int64),
    }
    write_model(dataclasses.replace(MODEL, parameters=parameters), tmp_path / "m", half=True)
    again = read_model(tmp_path / "m").parameters
    assert {name: array.dtype.name for name, array in again.items()} == {
        "w": "float32",
        "n": "int64",
    }
    np.testing.assert_array_equal(again["w"], [1 + 1 / 1024, 1, -65504, 2**-24, 0])
    assert again["n"] == 70_001


@pytest.mark.parametrize("value", [65520.0, -1e9, float("inf"), float("nan")])
def test_a_parameter_too_large_for_half_the_digits_is_named_and_nothing_written(
    tmp_path: Path, value: float
) -> None:
    model = dataclasses.replace(MODEL, parameters={"deep.w": np.array([0.5, value], np.float32)})
    with pytest.raises(ModelFileError, match=r"parameter deep.w: want values up to 65504"):
        write_model(model, tmp_path / "m", half=True)
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("dtype", "said", "words"),
    [
        (
            np.float32,
            {"parameters_stored_as": "float16"},
            "want it stored as float16, found float32",
        ),
        (np.float16, {}, "want it stored as float32, found float16"),
        (np.float64, {}, "want it stored as float32, found float64"),
        (np.float32, {"parameters_stored_as": "int8"}, "want float16 or nothing, got 'int8'"),
    ],
)
def test_parameters_that_are_not_stored_as_the_description_says_are_refused(
    tmp_path: Path, dtype: type, said: dict[str, str], words: str
) -> None:
    path = hostile(tmp_path / "model.safetensors", {"w": np.ones(2, dtype)}, **said)
    with pytest.raises(ModelFileError, match=words):
        read_model(path)


def test_the_card_comes_back_and_a_runs_own_model_has_none(tmp_path: Path) -> None:
    card = "# Läsionen\n\nResearch use."
    write_model(MODEL.with_card(card), tmp_path / "m", half=True)
    assert read_model(tmp_path / "m").card == card
    write_model(MODEL, tmp_path / "m")
    assert read_model(tmp_path / "m").card is None


def hostile(
    path: Path, parameters: Mapping[str, npt.NDArray[Any]] = MODEL.parameters, /, **metadata: str
) -> Path:
    """A model file whose description says something else."""
    plain = {
        "format": FORMAT,
        "recipe": MODEL.recipe.canonical_json(),
        "template": "{}",
        "threshold": "0.35",
        "round": "3",
        "run": "r1",
    }
    path.write_bytes(safetensors.numpy.save(dict(parameters), metadata=plain | metadata))
    return path


def changed(**changes: Any) -> str:
    return json.dumps(dataclasses.asdict(CHOICE) | changes)


def grid(**changes: Any) -> str:
    return json.dumps(dataclasses.asdict(GRID) | changes)


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"threshold": "nan"}, "want a number inside 0 to 1, got 'nan'"),
        ({"threshold": "1.0"}, "want a number inside 0 to 1, got '1.0'"),
        ({"threshold": "much"}, "could not convert"),
        ({"threshold_choice": changed(threshold=0.5)}, "chose 0.5, and the file's threshold"),
        ({"threshold_choice": "{"}, "Invalid JSON"),
        ({"threshold_choice": "[" * 5000}, "Invalid JSON"),
        ({"threshold_choice": "[]"}, "ThresholdChoice"),
        ({"threshold_choice": changed(by="guess")}, "by"),
        ({"threshold_choice": changed(n_cases="3")}, "n_cases"),
        ({"threshold_choice": changed(mean_dice=[0.1])}, "mean_dice: want 3 means"),
        ({"threshold_choice": changed(mean_dice=[0.1, float("nan"), 0.2])}, "mean_dice"),
        ({"threshold_choice": changed(thresholds=[0.35, 0.35, 0.5])}, "want them rising"),
        ({"trained_grid": grid(lowest_mm=[2.0, 1.0, 1.0])}, "the lowest no more than the highest"),
        ({"trained_grid": grid(lowest_mm=[0.0, 1.0, 1.0])}, "want spacings above 0 mm"),
        ({"trained_grid": grid(highest_mm=[1.0, 1.0, float("nan")])}, "trained_grid"),
        ({"trained_grid": grid(lowest_mm=[1.0, 1.0])}, "lowest_mm"),
        ({"trained_grid": grid(storage_order="LPS")}, "storage_order"),
        ({"trained_grid": grid(stripped="maybe")}, "stripped"),
        ({"template": '{"FLAIR": null}'}, "cannot be read"),
        ({"template": '{"FLAIR": [0.5, NaN, 1.25]}'}, "finite number"),
        ({"template": '{"FLAIR": ["0.5", "1", "1.25"]}'}, "valid number"),
        ({"template": '{"FLAIR": [0.5, 1.25]}'}, "FLAIR: want 3 numbers that rise"),
        ({"template": '{"FLAIR": [0.5, 1.25, 1.25]}'}, "FLAIR: want 3 numbers that rise"),
        ({"template": json.dumps({"FLAIR": list(range(13))})}, "FLAIR: want 3 numbers that rise"),
        ({"template": json.dumps({"FLAIR": list(range(14))})}, "at most 13"),
        ({"template": "[" * 100_000}, "cannot be read"),
        ({"recipe": "[" * 100_000}, "cannot be read"),
    ],
)
def test_a_description_that_cannot_be_true_is_refused(
    tmp_path: Path, metadata: dict[str, str], words: str
) -> None:
    path = hostile(tmp_path / "model.safetensors", **metadata)
    with pytest.raises(ModelFileError, match=f"(?s)model.safetensors: its description.*{words}"):
        read_model(path)


def test_the_same_description_unharmed_is_read(tmp_path: Path) -> None:
    path = hostile(tmp_path / "model.safetensors", threshold_choice=changed())
    assert read_model(path).threshold_choice == CHOICE
