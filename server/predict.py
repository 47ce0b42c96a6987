"""One case through a model file to a lesion mask on the images' own grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from common.errors import ModelFileError
from common.imaging.brain_mask import brain_mask_of
from common.imaging.case_images import CaseImages
from common.imaging.grid import Grid
from common.imaging.prepared import PreparedCase, prepare_case
from common.imaging.preprocessing.back_to_scanner import back_to_scanner
from common.imaging.preprocessing.chain import prepare_working_case
from common.imaging.preprocessing.resampling import resampled
from common.imaging.preprocessing.working_case import FloatArray, WorkingCase, WorkingImage
from common.imaging.volume import (
    Volume,
    read_mask,
    read_volume,
    require_finite,
    require_same_grid,
)
from common.learning.model import new_network
from common.learning.parameters import load_parameters
from common.learning.segmentation import segment
from common.model_file import Model


@dataclass(frozen=True, slots=True)
class Prediction:
    """Both on the grid of the model's first modality, as it was given.

    mask          bool, lesion
    probability   float32, 0 outside the brain
    notes         what the preparation had to say, such as a k-means step that was left out
    """

    mask: Volume
    probability: Volume
    notes: tuple[str, ...]


def predict(model: Model, images: Mapping[str, Path], brain_mask: Path | None) -> Prediction:
    """The lesions of one prepared case, with the template and the threshold the model carries.

    images       modality -> NIfTI file: co-registered, one grid; all that the model was trained on
    brain_mask   on that grid; None where the images are stripped
    """
    volumes = _read(model, images)
    first = model.recipe.task.modalities[0]
    for modality, volume in volumes.items():
        require_same_grid(
            volumes[first], volume, a_name=str(images[first]), b_name=str(images[modality])
        )
    own_mask = None if brain_mask is None else read_mask(brain_mask)
    brain = brain_mask_of(list(volumes.values()), own_mask)
    case, probability, notes = _segmented(model, CaseImages(volumes, brain, None))
    return Prediction(
        mask=case.on_file_grid(probability > model.threshold),
        probability=case.on_file_grid(probability),
        notes=notes,
    )


def predict_raw(model: Model, images: Mapping[str, Path], brain_mask: Path | None) -> Prediction:
    """The lesions of one case as the scanner gave it: first the recipe's preprocessing, then as
    above, then both results back on the first modality's own grid.

    images       modality -> NIfTI file, each on a grid of its own
    brain_mask   drawn on one of these grids; None: found as the recipe's `brain` step finds it

    The mask takes the nearest voxel of the prepared grid, the probability is linear in between.
    ModelFileError where the recipe has no preprocessing.
    """
    settings = model.recipe.preprocessing
    if not settings.steps:
        raise ModelFileError(
            f"the model's recipe {model.recipe.name!r} has no preprocessing steps, so raw images "
            "cannot be prepared as its training images were. Prepare them by the means used there, "
            "and predict without --raw."
        )
    volumes = _read(model, images)
    here = np.eye(4)
    own_mask = None if brain_mask is None else read_mask(brain_mask)
    worked = prepare_working_case(
        WorkingCase(
            images={name: WorkingImage(volume=v, to_common=here) for name, v in volumes.items()},
            reference=settings.reference_of(model.recipe.task.modalities),
            brain=None if own_mask is None else WorkingImage(volume=own_mask, to_common=here),
        ),
        settings,
    )
    prepared = CaseImages(dict(worked.images), worked.brain, None)
    case, probability, notes = _segmented(model, prepared)
    first = model.recipe.task.modalities[0]
    scanner, move = Grid.of(volumes[first]), worked.moves[first]
    likely = _back(case.on_file_grid(probability), move, scanner)
    mask = back_to_scanner(case.on_file_grid(probability > model.threshold), move, scanner)
    return Prediction(mask=mask, probability=likely, notes=(*worked.notes, *notes))


def _back(image: Volume, move: FloatArray, scanner: Grid) -> Volume:
    """The image on the scanner's grid, linear between its voxels."""
    inverse = np.asarray(np.linalg.inv(move), dtype=np.float64)
    seen_from_scanner = WorkingImage(volume=image, to_common=inverse)
    return resampled(seen_from_scanner, scanner, interpolation="linear")


def _read(model: Model, images: Mapping[str, Path]) -> dict[str, Volume]:
    """Modality -> image, in the model's channel order."""
    wanted = model.recipe.task.modalities
    if set(images) != set(wanted):
        raise ModelFileError(
            f"the model reads {', '.join(wanted)}; given were "
            f"{', '.join(sorted(images)) or 'none'}. Give one --image MODALITY=FILE for each."
        )
    volumes = {modality: read_volume(images[modality]) for modality in wanted}
    for modality, volume in volumes.items():
        require_finite(volume, images[modality])
    return volumes


def _segmented(
    model: Model, images: CaseImages
) -> tuple[PreparedCase, npt.NDArray[np.float32], tuple[str, ...]]:
    """The standardized case, each voxel's probability on its crop, and what was left out, why."""
    case, left_out = prepare_case(
        images,
        subject="sub-predicted",
        session=None,
        control=False,
        settings=model.recipe.standardization,
        template=model.template,
    )
    torch.set_num_threads(model.recipe.compute.threads)
    network = new_network(model.recipe)
    load_parameters(network, model.parameters)
    reasons = tuple(f"z-score alone was used for {reason}" for reason in left_out)
    return case, segment(network, case, model.recipe), reasons
