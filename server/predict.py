"""One case through a model file to a lesion mask on the images' own grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from common.errors import ModelFileError
from common.imaging.brain_mask import brain_mask_of
from common.imaging.case_images import CaseImages
from common.imaging.prepared import prepare_case
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
    """Both on the images' grid.

    mask          bool, lesion
    probability   float32, 0 outside the brain
    left_out      for each modality whose k-means step was left out, why
    """

    mask: Volume
    probability: Volume
    left_out: tuple[str, ...]


def predict(model: Model, images: Mapping[str, Path], brain_mask: Path | None) -> Prediction:
    """The lesions of one case, found with the template and the threshold the model carries.

    images       modality -> NIfTI file: co-registered, one grid; all that the model was trained on
    brain_mask   on that grid; None where the images are stripped
    """
    wanted = model.recipe.task.modalities
    if set(images) != set(wanted):
        raise ModelFileError(
            f"the model reads {', '.join(wanted)}; given were "
            f"{', '.join(sorted(images)) or 'none'}. Give one --image MODALITY=FILE for each."
        )
    volumes = {modality: read_volume(images[modality]) for modality in wanted}
    for modality, volume in volumes.items():
        require_finite(volume, images[modality])
        require_same_grid(
            volumes[wanted[0]], volume, a_name=str(images[wanted[0]]), b_name=str(images[modality])
        )
    own_mask = None if brain_mask is None else read_mask(brain_mask)
    case, left_out = prepare_case(
        CaseImages(volumes, brain_mask_of(list(volumes.values()), own_mask), None),
        subject="sub-predicted",
        session=None,
        control=False,
        settings=model.recipe.standardization,
        template=model.template,
    )
    torch.set_num_threads(model.recipe.compute.threads)
    network = new_network(model.recipe)
    load_parameters(network, model.parameters)
    probability = segment(network, case, model.recipe)
    return Prediction(
        mask=case.on_file_grid(probability > model.threshold),
        probability=case.on_file_grid(probability),
        left_out=tuple(left_out),
    )
