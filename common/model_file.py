"""What a prediction needs, in one safetensors file: weights, recipe, template, threshold."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy
from pydantic import TypeAdapter

from common.errors import ConfigError, ModelFileError
from common.files import write_whole
from common.imaging.dataset.trained_grid import TrainedGrid
from common.imaging.standardization.template import Template
from common.metrics.mask import least_voxels
from common.metrics.threshold_choice import ThresholdChoice
from common.recipe.recipe import Recipe, recipe_from_table

FORMAT = "lesionfed-model-1"
HALF = "float16"
"""What the description of a file says whose parameters are stored with half the digits."""
RESEARCH_USE = "Research use, not a medical device."
"""Said wherever a model's answer or its card is printed."""

_CHOICE: TypeAdapter[ThresholdChoice] = TypeAdapter(ThresholdChoice)
_GRID: TypeAdapter[TrainedGrid] = TypeAdapter(TrainedGrid)
_TEMPLATE: TypeAdapter[Template] = TypeAdapter(Template)


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """A trained network with all it needs to be used.

    recipe        the experiment; its task names the modalities, in channel order
    template      the consortium's landmarks, as they were in training
    threshold     a voxel is lesion where its probability is above this
    round_index   the training round it comes from
    run           the run it comes from
    parameters    the segmentation network's, without the site head's
    threshold_choice   how the threshold was chosen; None where it is the recipe's
    trained_grid  what the images were like that trained it; None where no site said it, and in the
                  file of an older version
    card          Markdown: what it was trained on, how well it does, where it fails, its licence;
                  None for a run's own model, which has its report
    """

    recipe: Recipe
    template: Template
    threshold: float
    round_index: int
    run: str
    parameters: Mapping[str, npt.NDArray[Any]]
    threshold_choice: ThresholdChoice | None = None
    trained_grid: TrainedGrid | None = None
    card: str | None = None

    @property
    def smallest_mm3(self) -> float | None:
        """The volume below which lesions are dropped; None: the recipe's number of voxels holds."""
        return None if self.threshold_choice is None else self.threshold_choice.smallest_mm3

    def at_least(self, voxel_volume_mm3: float) -> int:
        """Voxels that a lesion has: those of the chosen volume, else as many as the recipe says."""
        if self.smallest_mm3 is None:
            return self.recipe.inference.min_lesion_voxels
        return least_voxels(self.smallest_mm3, voxel_volume_mm3)

    def with_choice(self, choice: ThresholdChoice) -> Model:
        """The same network, used at the chosen threshold."""
        return dataclasses.replace(self, threshold=choice.threshold, threshold_choice=choice)

    def with_card(self, card: str) -> Model:
        """The same network with its model card."""
        return dataclasses.replace(self, card=card)


def write_model(model: Model, path: Path, *, half: bool = False) -> None:
    """Writes the model, whole or not at all.

    half   the parameters are stored as float16, which keeps 3 digits: half the size. `read_model`
           gives them back as float32. ModelFileError where one is too large for it.
    """
    metadata = {
        "format": FORMAT,
        "recipe": model.recipe.canonical_json(),
        "recipe_sha256": model.recipe.sha256(),
        "template": json.dumps(model.template, sort_keys=True),
        "threshold": json.dumps(model.threshold),
        "round": json.dumps(model.round_index),
        "run": model.run,
    }
    if model.threshold_choice is not None:
        choice = dataclasses.asdict(model.threshold_choice)
        metadata["threshold_choice"] = json.dumps(choice, sort_keys=True, allow_nan=False)
    if model.trained_grid is not None:
        grid = dataclasses.asdict(model.trained_grid)
        metadata["trained_grid"] = json.dumps(grid, sort_keys=True, allow_nan=False)
    if model.card is not None:
        metadata["card"] = model.card
    parameters = dict(model.parameters)
    if half:
        metadata["parameters_stored_as"] = HALF
        parameters = {name: _halved(name, array) for name, array in parameters.items()}
    write_whole(path, safetensors.numpy.save(parameters, metadata=metadata))


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
        threshold = _threshold(metadata["threshold"])
        recipe = recipe_from_table(json.loads(metadata["recipe"]), where=f"recipe in {path}")
        return Model(
            recipe=recipe,
            template=_template(metadata["template"], recipe.standardization.n_landmarks),
            threshold=threshold,
            round_index=int(metadata["round"]),
            run=metadata["run"],
            parameters=_at_full_length(parameters, metadata.get("parameters_stored_as")),
            threshold_choice=_choice(metadata.get("threshold_choice"), threshold),
            trained_grid=_trained_grid(metadata.get("trained_grid")),
            card=metadata.get("card"),
        )
    except (
        KeyError,
        ValueError,
        TypeError,
        AttributeError,
        RecursionError,
        ConfigError,
    ) as error:
        raise ModelFileError(f"{path}: its description cannot be read: {error}") from None


def _halved(name: str, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array as float16 where it holds float32; counters stay whole numbers."""
    if array.dtype != np.float32:
        return array
    if not np.abs(array).max(initial=0) <= np.finfo(np.float16).max:  # nan fails as well
        raise ModelFileError(
            f"parameter {name}: want values up to {np.finfo(np.float16).max:g} to store them as "
            f"{HALF}, found {np.abs(array).max():g}. Store the model as it is."
        )
    return array.astype(np.float16)


def _at_full_length(
    stored: Mapping[str, npt.NDArray[Any]], stored_as: str | None
) -> dict[str, npt.NDArray[Any]]:
    """The parameters as float32; ValueError where they are not stored as the description says."""
    if stored_as not in (None, HALF):
        raise ValueError(f"parameters_stored_as: want {HALF} or nothing, got {stored_as!r}")
    expected = np.dtype(np.float32 if stored_as is None else np.float16)
    for name, array in stored.items():
        if array.dtype.kind == "f" and array.dtype != expected:
            raise ValueError(f"parameter {name}: want it stored as {expected}, found {array.dtype}")
    return {
        name: array.astype(np.float32) if array.dtype == np.float16 else array
        for name, array in stored.items()
    }


def _threshold(text: str) -> float:
    threshold = float(text)
    if not 0 < threshold < 1:
        raise ValueError(f"threshold: want a number inside 0 to 1, got {text!r}")
    return threshold


def _choice(text: str | None, threshold: float) -> ThresholdChoice | None:
    """The choice that led to the threshold, or None; ValueError where the two do not agree."""
    if text is None:
        return None
    choice = _CHOICE.validate_json(text, strict=True)
    if choice.threshold != threshold:
        raise ValueError(
            f"threshold_choice: chose {choice.threshold}, and the file's threshold is {threshold}"
        )
    return choice


def _trained_grid(text: str | None) -> TrainedGrid | None:
    """The trained grid, or None; ValueError where its spacings are none."""
    if text is None:
        return None
    grid = _GRID.validate_json(text, strict=True)
    if not all(0 < a <= b < 1e3 for a, b in zip(grid.lowest_mm, grid.highest_mm, strict=True)):
        raise ValueError(
            "trained_grid: want spacings above 0 mm, the lowest no more than the highest, got "
            f"{grid.lowest_mm} and {grid.highest_mm}"
        )
    return grid


def _template(text: str, n_landmarks: int) -> Template:
    """The template; ValueError where it is none, or one of another method than the recipe's."""
    template = _TEMPLATE.validate_json(text, strict=True)
    for modality, landmarks in template.items():
        if len(landmarks) != n_landmarks or any(a >= b for a, b in pairwise(landmarks)):
            raise ValueError(
                f"template, {modality}: want {n_landmarks} numbers that rise, as the recipe's "
                f"standardization has them, got {landmarks}"
            )
    return template
