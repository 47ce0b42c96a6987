"""Second step: the lesions of one case, by a network or by one threshold on its intensity."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from common.arrays import BoolArray, Float32Array
from common.errors import ModelFileError, SiteDataError
from common.imaging.centreline import read_centreline
from common.imaging.dataset.prepared import (
    CaseImages,
    PreparedCase,
    baseline_intensity,
    brain_of_dates,
    prepare_case,
)
from common.imaging.grid import Grid
from common.imaging.orientation import turned_back, upright
from common.imaging.preprocessing.back_to_scanner import back_to_scanner
from common.imaging.preprocessing.case_doubts import prepared_doubts
from common.imaging.preprocessing.chain import PreparedVolumes, prepare_sessions
from common.imaging.preprocessing.working_case import WorkingCase, WorkingImage
from common.imaging.volume import (
    Volume,
    grid_text,
    noted,
    read_mask,
    read_volume,
    require_finite,
    require_same_grid,
    same_grid,
)
from common.learning.model import new_network
from common.learning.networks.parameters import load_parameters
from common.learning.segmentation import found_lesions, segment
from common.model_file import Model
from common.recipe.recipe import Recipe
from common.recipe.task import Task

HALF = 0.501
"""The threshold of `brighter_than`: halfway between 0 and 1 the last digit must not decide."""

Segment = Callable[[PreparedCase], BoolArray]
"""A prepared case in, its lesion mask on the crop out."""


def trained_network(model: Model) -> nn.Module:
    """The model's network with its parameters; torch computes with the recipe's threads."""
    torch.set_num_threads(model.recipe.compute.threads)
    network = new_network(model.recipe)
    load_parameters(network, model.parameters)
    return network


def by_network(network: nn.Module, recipe: Recipe, threshold: float) -> Segment:
    """Segments with a network: lesion where its probability is above the threshold."""
    return lambda case: found_lesions(segment(network, case, recipe), threshold, recipe)


def by_intensity(threshold: float, recipe: Recipe) -> Segment:
    """Segments with one threshold on `baseline_intensity`: the baseline.

    Lesions too small to be believed go, as they do from the network's mask; the threshold itself
    was tuned with them (chosen: every threshold of every case would have to be labelled).
    """
    brighter = brighter_than(threshold, recipe.task)
    return lambda case: found_lesions(brighter(case), HALF, recipe)


def brighter_than(threshold: float, task: Task) -> Callable[[PreparedCase], Float32Array]:
    """The baseline in the form of a network: probability 1 above the threshold, 0 elsewhere.

    Lesion is above HALF, on whatever grid: where it is carried to another one by linear
    interpolation, a voxel is lesion when more than half of what it is made of is.
    """
    return lambda case: ((baseline_intensity(case, task) > threshold) & case.brain).astype(
        np.float32
    )


@dataclass(frozen=True, slots=True)
class Prediction:
    """Both on the grid of the model's first modality, of two dates the later one, as it was given:
    in the storage order of its file and with its affine.

    mask          bool, lesion
    probability   float32, 0 outside the brain
    notes         what the preparation had to say, such as a k-means step that was left out, and
                  where the images are unlike those that the model was trained on
    """

    mask: Volume
    probability: Volume
    notes: tuple[str, ...]


def predict(model: Model, images: Mapping[str, Path], brain_mask: Path | None) -> Prediction:
    """The lesions of one prepared case, with the template and the threshold the model carries.

    images       channel -> NIfTI file: co-registered, on one grid, in any storage order; all that
                 the model was trained on, but for its optional modalities. A channel is a modality,
                 with two dates FLAIR-1 for the earlier and FLAIR-2
    brain_mask   on that grid, of both dates where there are two; None where the images are stripped
    """
    task = model.recipe.task
    stored = _read(model, images)
    volumes = _all_upright(stored)
    first = task.channels[0]
    for channel, volume in volumes.items():
        require_same_grid(
            volumes[first], volume, a_name=str(images[first]), b_name=str(images[channel])
        )
    own_mask = None if brain_mask is None else upright(read_mask(brain_mask))
    try:
        of_dates = [list(_date(volumes, task, date).values()) for date in range(task.dates)]
        brain = brain_of_dates(of_dates, [own_mask] * task.dates)
    except SiteDataError as error:
        if own_mask is not None:
            raise
        raise SiteDataError(f"{error} {_instead(model)}", code=error.code) from None
    case, probability, notes = _segmented(model, CaseImages(volumes, brain, None))
    notes += grid_doubts(model, case, what_to_do=_instead(model))
    found = found_lesions(probability, model.threshold, model.recipe)
    file = _answered(stored, task)
    return Prediction(
        mask=turned_back(case.on_file_grid(found), file),
        probability=turned_back(case.on_file_grid(probability), file),
        notes=(
            *_of_files(volumes, own_mask),
            *_of_images(volumes, brain, recipe=model.recipe),
            *notes,
        ),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class CordFile:
    """Where the spinal cord is: one of the two files, as a site has them for `prepare`.

    centreline   table of its nodes, in the world of the reference's header, mm
    mask         drawn on the grid of one of the images
    """

    centreline: Path | None = None
    mask: Path | None = None


def predict_raw(
    model: Model,
    images: Mapping[str, Path],
    brain_mask: Path | None,
    cord: CordFile | None = None,
) -> Prediction:
    """The lesions of one case as the scanner gave it: first the recipe's preprocessing, then as
    above, on the first modality's own grid, of two dates the later one's.

    images       channel -> NIfTI file, each on a grid of its own, in any storage order
    brain_mask   drawn on one of these grids; None: found as the recipe's `brain` step finds it.
                 The other one of two dates has its brain found in any case
    cord         for a recipe with the step `cord`, which looks near the cord's centreline and takes
                 no brain mask

    The probability is taken to that grid, linear between the prepared voxels, and the mask is made
    there: above the threshold, without lesions of too few of the grid's voxels.
    ModelFileError where the recipe has no preprocessing, or needs other files than those given.
    Source       Fenneteau et al. 2021: resampled to the original grid, then the threshold.
    """
    recipe = model.recipe
    if not recipe.preprocessing.steps:
        raise ModelFileError(
            f"the model's recipe {recipe.name!r} has no preprocessing steps, so raw images "
            "cannot be prepared as its training images were. Prepare them by the means used there, "
            "and predict without --raw."
        )
    _require_region(recipe, brain_mask, cord)
    stored = _read(model, images)
    volumes = _all_upright(stored)
    own_mask = None if brain_mask is None else upright(read_mask(brain_mask))
    cord_mask = None if cord is None or cord.mask is None else upright(read_mask(cord.mask))
    working = _working_cases(volumes, own_mask, recipe)
    if cord is not None:
        [only] = working
        working = [_with_cord(only, cord, cord_mask)]
    dates = prepare_sessions(working, recipe.preprocessing)
    case, probability, notes = _segmented(model, _joined(dates, recipe.task))
    scanner = Grid.of(_answered(volumes, recipe.task))
    move = dates[-1].moves[recipe.task.modalities[0]]
    likely = back_to_scanner(case.on_file_grid(probability), move, scanner, interpolation="linear")
    mask = Volume(found_lesions(likely.data, model.threshold, recipe), likely.affine)
    said = dict.fromkeys(note for date in dates for note in date.notes)  # of both dates once
    notes += grid_doubts(
        model,
        case,
        what_to_do="Look at the result: the training sites' images "
        "were prepared by other means than the model's recipe.",
    )
    file = _answered(stored, recipe.task)
    return Prediction(
        mask=turned_back(mask, file),
        probability=turned_back(likely, file),
        notes=(*_of_files(volumes, own_mask, cord_mask), *said, *notes),
    )


def grid_doubts(model: Model, case: PreparedCase, *, what_to_do: str) -> tuple[str, ...]:
    """`TrainedGrid.doubts`; none where the model file does not say what it was trained on."""
    grid = model.trained_grid
    return () if grid is None else grid.doubts(case, what_to_do=what_to_do)


def _instead(model: Model) -> str:
    if not model.recipe.preprocessing.steps:
        return "Prepare the images as those of the training sites were prepared."
    return (
        "Give the scanner's own images with --raw, or prepare them with lesionfed-site prepare and "
        f"the recipe {model.recipe.name}."
    )


def _require_region(recipe: Recipe, brain_mask: Path | None, cord: CordFile | None) -> None:
    """Nothing, or ModelFileError where the files given do not say where the recipe looks."""
    if "cord" not in recipe.preprocessing.steps:
        if cord is not None:
            raise ModelFileError(
                f"a centreline or a mask of the cord was given, and the model's recipe "
                f"{recipe.name!r} looks at the brain. Leave --centreline and --cord-mask out."
            )
        return
    if recipe.task.dates > 1:
        raise ModelFileError(
            f"the model's recipe {recipe.name!r} looks at the cord at two dates, and --raw takes "
            "the cord of one. Prepare both with lesionfed-site prepare, and predict without --raw."
        )
    if brain_mask is not None:
        raise ModelFileError(
            f"{brain_mask}: the model's recipe {recipe.name!r} looks at the spinal cord and takes "
            "no brain mask. Leave --brain-mask out."
        )
    if cord is None:
        raise ModelFileError(
            f"the model's recipe {recipe.name!r} looks at the spinal cord, which is not found in "
            "raw images. Give --centreline FILE.tsv (columns x_mm, y_mm, z_mm) or --cord-mask "
            "FILE.nii.gz, drawn on one of the images."
        )


def _with_cord(case: WorkingCase, cord: CordFile, mask: Volume | None) -> WorkingCase:
    """The case with its centreline or its mask of the cord, before the first step.

    SiteDataError where the table cannot be used, and where the mask lies on no image's grid: it
    would be taken for the reference's.
    """
    if cord.centreline is not None:
        return replace(case, centreline=read_centreline(cord.centreline))
    assert mask is not None, "one of the two files is given"
    if not any(same_grid(mask, image.volume) for image in case.images.values()):
        raise SiteDataError(
            f"{cord.mask}: want a mask of the cord on the grid of one of the images, found "
            f"{grid_text(mask)}. Draw it on one of them, or give --centreline."
        )
    return replace(case, cord=WorkingImage(volume=mask, to_common=np.eye(4)))


def _working_cases(
    volumes: Mapping[str, Volume], own_mask: Volume | None, recipe: Recipe
) -> list[WorkingCase]:
    """Each date before the first step; the brain mask belongs to one of them."""
    here = np.eye(4)
    dates = [_date(volumes, recipe.task, number) for number in range(recipe.task.dates)]
    owner = None if own_mask is None else _drawn_on(own_mask, dates)
    return [
        WorkingCase(
            images={name: WorkingImage(volume=v, to_common=here) for name, v in images.items()},
            reference=recipe.preprocessing.reference_of(tuple(images)),
            brain=WorkingImage(volume=own_mask, to_common=here)
            if own_mask is not None and number == owner
            else None,
        )
        for number, images in enumerate(dates)
    ]


def _drawn_on(brain_mask: Volume, dates: Sequence[Mapping[str, Volume]]) -> int:
    """Which date the mask was drawn on: the only one, or the first on one of whose grids it lies.

    SiteDataError where it lies on none of two dates' grids.
    """
    if len(dates) == 1:
        return 0
    for number, images in enumerate(dates):
        if any(same_grid(brain_mask, image) for image in images.values()):
            return number
    raise SiteDataError(
        f"the brain mask lies on the grid of no image, so its date is unknown; it has "
        f"{grid_text(brain_mask)}. Give one that was drawn on one of the images, or none."
    )


def _date(volumes: Mapping[str, Volume], task: Task, date: int) -> dict[str, Volume]:
    """Modality -> image of one date, counted from 0, of those given."""
    n = len(task.modalities)
    channels = task.channels[date * n : (date + 1) * n]
    return {task.modality_of(name): volumes[name] for name in channels if name in volumes}


def _answered(volumes: Mapping[str, Volume], task: Task) -> Volume:
    """The image on whose grid the answer is given: the first modality, of the later date."""
    return _date(volumes, task, task.dates - 1)[task.modalities[0]]


def _joined(dates: list[PreparedVolumes], task: Task) -> CaseImages:
    """The dates, which the chain has put on one grid with one brain, as one case."""
    images = [date.images.get(modality) for date in dates for modality in task.modalities]
    channels = zip(task.channels, images, strict=True)
    present = {channel: image for channel, image in channels if image is not None}
    return CaseImages(present, dates[-1].brain, None)


def _of_files(
    volumes: Mapping[str, Volume], brain_mask: Volume | None, cord_mask: Volume | None = None
) -> tuple[str, ...]:
    """What is odd about the files, which the mask's place and volume depend on."""
    masks = {"brain mask": brain_mask, "cord mask": cord_mask}
    given = {name: mask for name, mask in masks.items() if mask is not None}
    return tuple(text for _, text in noted({**volumes, **given}))


def _of_images(volumes: Mapping[str, Volume], brain: Volume, *, recipe: Recipe) -> tuple[str, ...]:
    """What is odd about the values of prepared images, of two dates with the date."""
    notes = []
    for number in range(recipe.task.dates):
        date = f" of date {number + 1}" if recipe.task.dates > 1 else ""
        images = _date(volumes, recipe.task, number)
        of_head = "cord" not in recipe.preprocessing.steps
        found = prepared_doubts(images, brain, of_head=of_head)
        notes += [note.replace(":", f"{date}:", 1) for note in found]
    return tuple(notes)


def _read(model: Model, images: Mapping[str, Path]) -> dict[str, Volume]:
    """Channel -> image, in the model's order."""
    task = model.recipe.task
    wanted = task.channels
    optional = {name for name in wanted if task.modality_of(name) in task.optional_modalities}
    if set(images) - set(wanted) or set(wanted) - optional - set(images):
        may_lack = f" (of which {', '.join(sorted(optional))} may be missing)" if optional else ""
        dates = " (1: the earlier date, 2: the later)" if model.recipe.task.dates == 2 else ""
        raise ModelFileError(
            f"the model reads {', '.join(wanted)}{may_lack}{dates}; given were "
            f"{', '.join(sorted(images)) or 'none'}. Give one --image MODALITY=FILE for each."
        )
    volumes = {channel: read_volume(images[channel]) for channel in wanted if channel in images}
    for channel, volume in volumes.items():
        require_finite(volume, images[channel])
    return volumes


def _all_upright(volumes: Mapping[str, Volume]) -> dict[str, Volume]:
    return {channel: upright(volume) for channel, volume in volumes.items()}


def _segmented(
    model: Model, images: CaseImages
) -> tuple[PreparedCase, Float32Array, tuple[str, ...]]:
    """The standardized case, each voxel's probability on its crop, and what was left out, why."""
    case, left_out = prepare_case(
        images,
        subject="sub-predicted",
        session=None,
        control=False,
        task=model.recipe.task,
        settings=model.recipe.standardization,
        template=model.template,
    )
    network = trained_network(model)
    reasons = tuple(f"z-score alone was used for {reason}" for reason in left_out)
    reasons += tuple(f"no {channel}: predicted without it" for channel in case.missing)
    return case, segment(network, case, model.recipe), reasons
