"""What a prediction needs, in one safetensors file: weights, recipe, template, threshold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
import safetensors
import safetensors.numpy

from common.errors import ConfigError, ModelFileError
from common.imaging.preprocessing.template import Template
from common.recipe import Recipe, recipe_from_table
from common.whole_file import write_whole

FORMAT = "lesionfed-model-1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """A trained network with all it needs to be used.

    recipe        the experiment; its task names the modalities, in channel order
    template      the consortium's class centres, as they were in training
    threshold     a voxel is lesion where its probability is above this
    round_index   the training round it comes from
    run           the run it comes from
    parameters    the segmentation network's, without the site head's
    """

    recipe: Recipe
    template: Template
    threshold: float
    round_index: int
    run: str
    parameters: Mapping[str, npt.NDArray[Any]]


def write_model(model: Model, path: Path) -> None:
    """Writes the model, whole or not at all."""
    metadata = {
        "format": FORMAT,
        "recipe": model.recipe.canonical_json(),
        "recipe_sha256": model.recipe.sha256(),
        "template": json.dumps(model.template, sort_keys=True),
        "threshold": json.dumps(model.threshold),
        "round": json.dumps(model.round_index),
        "run": model.run,
    }
    write_whole(path, safetensors.numpy.save(dict(model.parameters), metadata=metadata))


def read_model(path: Path) -> Model:
    """The model in a file; ModelFileError says what is wrong with it."""
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            parameters = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except FileNotFoundError:
        raise ModelFileError(f"{path}: no such file. A run writes model.safetensors.") from None
    except (OSError, safetensors.SafetensorError) as error:
        raise ModelFileError(f"{path}: not a safetensors file, or cut off: {error}") from None
    if metadata.get("format") != FORMAT:
        raise ModelFileError(
            f"{path}: want a file marked {FORMAT}, got {metadata.get('format')!r}. "
            "A checkpoint is not a model: use the run's model.safetensors."
        )
    try:
        return Model(
            recipe=recipe_from_table(json.loads(metadata["recipe"]), where=f"recipe in {path}"),
            template={name: _three(c) for name, c in json.loads(metadata["template"]).items()},
            threshold=float(metadata["threshold"]),
            round_index=int(metadata["round"]),
            run=metadata["run"],
            parameters=parameters,
        )
    except (KeyError, ValueError, AttributeError, ConfigError) as error:
        raise ModelFileError(f"{path}: its description cannot be read: {error}") from None


def _three(centres: list[float]) -> tuple[float, float, float]:
    first, second, third = centres
    return float(first), float(second), float(third)
