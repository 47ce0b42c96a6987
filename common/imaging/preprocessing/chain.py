"""The recipe's steps over one subject: from the images of a scanner to volumes on one grid.

Where a recipe looks at the spinal cord, `brain` means the region near the cord's centreline.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import ndimage

from common.arrays import BoolArray, FloatArray
from common.errors import SiteDataError
from common.imaging.brain_mask import brain_mask_of, looks_stripped
from common.imaging.centreline import centreline_of, moved_nodes, near_centreline
from common.imaging.grid import Grid
from common.imaging.preprocessing.bias_field import correct_bias
from common.imaging.preprocessing.case_doubts import (
    first_doubts,
    mask_doubts,
    shading_doubts,
    tissue_doubts,
    value_doubts,
)
from common.imaging.preprocessing.denoise import denoised
from common.imaging.preprocessing.external_brain_mask import external_brain_mask
from common.imaging.preprocessing.halfway_space import halfway
from common.imaging.preprocessing.mni_space import mni_grid, mni_registration
from common.imaging.preprocessing.resampling import (
    common_grid,
    resampled,
    resampled_lesions,
    share_outside,
)
from common.imaging.preprocessing.rigid_registration import RigidMove, rigid_move
from common.imaging.preprocessing.settled_origins import rounding, settled
from common.imaging.preprocessing.template_brain_mask import template_brain_mask
from common.imaging.preprocessing.working_case import WorkingCase, WorkingImage
from common.imaging.volume import Volume, same_grid
from common.recipe.preprocessing import Preprocessing, Step

BRAIN_COMMAND_TIMEOUT_S = 1800.0

SESSION_SHIFT_MM = 20.0
"""A head that moved farther between two images of one session should be checked (chosen)."""

DATES_SHIFT_MM = 150.0
"""The same between two dates, where the table stands elsewhere too (chosen)."""

MISSING_SHARE = 0.01
"""Share of the brain outside an image's field of view from which on it is worth a note (chosen)."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PreparedVolumes:
    """One subject-session at the end of the chain; everything on one grid.

    images    modality -> float32, 0 outside the brain, in the order of the working case
    brain     bool; with the step cord the region near the centreline
    lesions   bool, or None without a reference
    raters    "lesionRater1" -> that rater's own mask, bool
    moves     modality -> (4, 4), rigid: RAS+ world mm of its scanner -> RAS+ world mm of the grid
    lesions_move   the move of the reference: that of the image it was drawn on; None without one
    notes     what the steps had to say, as the text of a finding
    """

    images: Mapping[str, Volume]
    brain: Volume
    lesions: Volume | None
    moves: Mapping[str, FloatArray]
    notes: tuple[str, ...]
    raters: Mapping[str, Volume] = field(default_factory=dict)
    lesions_move: FloatArray | None = None


def prepare_sessions(
    cases: Sequence[WorkingCase], settings: Preprocessing, *, brain_command: Sequence[str] = ()
) -> list[PreparedVolumes]:
    """The sessions of one subject after all steps of the recipe.

    cases           one case; for the halfway space both dates of a subject, or its only one, which
                    then stays in its own space
    brain_command   the site's own program for the brain mask, or nothing: `external_brain_mask`

    The steps up to `resample` work on the scanner's grids and add to the moves. Then every image
    is interpolated once, linearly, and the masks follow to the nearest voxel. SiteDataError where
    a step cannot work on an image.
    """
    if len(cases) > (2 if settings.space == "halfway" else 1):
        raise SiteDataError(
            f"want {'two sessions' if settings.space == 'halfway' else 'one session'} of a subject "
            f"for the space {settings.space!r}, found {len(cases)}. Leave the two dates to compare "
            "in the folder and move the others to sourcedata/."
        )
    still = [settled(case) for case in cases]
    worked = [_on_scanner_grids(case, settings, brain_command) for case in still]
    placed = _in_common_space(worked, settings)
    grid = _grid_of(placed, settings)
    brain = np.any([_mask_on(_brain_of(case), grid).data for case in placed], axis=0)
    if not brain.any():
        raise SiteDataError(
            "want the brain inside the reference's field of view, found no voxel of it there. "
            "Look at the brain mask and at the images' headers."
        )
    if "crop" in settings.steps:
        masks = [mask for case in placed for mask in (case.lesions, *case.raters.values())]
        drawn = [_mask_on(mask, grid).data for mask in masks if mask is not None]
        box = _box(np.any([brain, *drawn], axis=0), grid, settings.crop_margin_mm)
        grid, brain = grid.cropped(box), brain[box]
    of_head = "cord" not in settings.steps
    whole = Volume(brain, grid.affine)
    prepared = [_on_grid(case, grid, whole, of_head=of_head) for case in placed]
    return [
        replace(volumes, moves=_from_headers(volumes.moves, case, before))
        for volumes, case, before in zip(prepared, cases, still, strict=True)
    ]


def _from_headers(
    moves: Mapping[str, FloatArray], case: WorkingCase, still: WorkingCase
) -> dict[str, FloatArray]:
    """The moves from where the headers place the images, not from where they were settled."""
    return {
        name: move @ rounding(case.images[name], still.images[name]) for name, move in moves.items()
    }


def _on_scanner_grids(
    case: WorkingCase, settings: Preprocessing, brain_command: Sequence[str]
) -> WorkingCase:
    """The case after the steps before `resample`, in the recipe's order."""
    of_head = "cord" not in settings.steps
    case = replace(case, notes=(*case.notes, *first_doubts(case, of_head=of_head)))
    for step in settings.steps:
        try:
            case = _after(step, case, settings, brain_command)
        except RuntimeError as error:  # SimpleITK's own, such as for an image of three slices
            reason = str(error).strip().splitlines()[-1]
            raise SiteDataError(
                f"the step {step} cannot work on these images: {reason}. Look at their slices and "
                "fields of view, or leave the step out of the recipe.",
                code="preprocessing",
            ) from None
    for name, image in case.images.items():  # once more, for now it is known where to look
        value_doubts(name, image.volume, _brain_on(case, image), of_head=of_head)
    return case


def _after(
    step: Step, case: WorkingCase, settings: Preprocessing, brain_command: Sequence[str]
) -> WorkingCase:
    """The case after one step; those from `resample` on work on the common grid, later."""
    if step == "denoise":
        return _denoised(case)
    if step == "register":
        return _registered(case)
    if step == "brain":
        return _with_brain(case, brain_command)
    if step == "cord":
        return _with_cord(case, settings.cord_radius_mm)
    if step == "bias-field":
        return _bias_corrected(case)
    return case


def _denoised(case: WorkingCase) -> WorkingCase:
    images = {
        name: replace(image, volume=denoised(image.volume, _brain_on(case, image)))
        for name, image in case.images.items()
    }
    return replace(case, images=images)


def _registered(case: WorkingCase) -> WorkingCase:
    """Every modality moved rigidly to the reference; a mask goes with the image it was drawn on."""
    fixed = case.images[case.reference]
    belongs_here = case.brain is not None and _drawn_on(case.brain, case) == case.reference
    fixed_mask = _brain_on(case, fixed) if belongs_here else None
    images = dict(case.images)
    notes = list(case.notes)
    for name, image in case.images.items():
        if name != case.reference:
            move = rigid_move(fixed.volume, image.volume, fixed_mask=fixed_mask)
            images[name] = replace(image, to_common=move.matrix)
            what = f"{name} to {case.reference}"
            notes.extend(_doubts(move, what, max_shift_mm=SESSION_SHIFT_MM))

    def with_its_image(mask: WorkingImage) -> WorkingImage:
        return replace(mask, to_common=images[_drawn_on(mask, case)].to_common)

    return replace(
        case,
        images=images,
        brain=None if case.brain is None else with_its_image(case.brain),
        lesions=None if case.lesions is None else with_its_image(case.lesions),
        cord=None if case.cord is None else with_its_image(case.cord),
        raters={rater: with_its_image(mask) for rater, mask in case.raters.items()},
        notes=tuple(notes),
    )


def _doubts(move: RigidMove, what: str, *, max_shift_mm: float) -> tuple[str, ...]:
    return tuple(f"{what}: {doubt}" for doubt in move.doubts(max_shift_mm=max_shift_mm))


def _drawn_on(mask: WorkingImage, case: WorkingCase) -> str:
    """The modality that the mask moves with.

    The first in the recipe's order on whose grid it lies, as intake has it: where FLAIR and T1w
    share a grid a lesion was drawn on the FLAIR. Of no modality's grid: the reference (chosen).
    """
    if mask.drawn_on is not None:
        return mask.drawn_on
    for name, image in case.images.items():
        if same_grid(mask.volume, image.volume):
            return name
    return case.reference


def _with_brain(case: WorkingCase, command: Sequence[str]) -> WorkingCase:
    """The case with a brain: the site's own mask, else made, and a note on what it was made of."""
    if case.brain is not None:
        return case
    for name in _reference_first(case):
        image = case.images[name]
        if looks_stripped(image.volume):
            mask = brain_mask_of([image.volume])
            note = f"brain mask made from the voxels of the stripped {name} that are not zero"
            break
    else:
        name, image = case.reference, case.images[case.reference]
        if command:
            mask = external_brain_mask(command, image.volume, timeout_s=BRAIN_COMMAND_TIMEOUT_S)
            note = f"brain mask made from the {case.reference} by the site's own {command[0]}"
        else:
            mask = template_brain_mask(image.volume)
            note = f"brain mask made from the {case.reference} with the template: look at its edge"
    return replace(
        case,
        brain=WorkingImage(volume=mask, to_common=image.to_common, drawn_on=name),
        notes=(*case.notes, note, *mask_doubts(mask)),
    )


def _with_cord(case: WorkingCase, radius_mm: float) -> WorkingCase:
    """The case with the region near the cord as its brain, on the reference's grid.

    The centreline is the table's, else that of the cord's mask; a brain mask is not used.
    """
    reference = case.images[case.reference]
    if case.centreline is not None:
        nodes = case.centreline
    elif case.cord is not None:
        to_reference = np.linalg.inv(reference.to_common) @ case.cord.to_common
        nodes = moved_nodes(to_reference, centreline_of(case.cord.volume))
    else:
        raise SiteDataError(
            "want the spinal cord's centreline, found neither a table nor a mask of the cord. Add "
            "its nodes (desc-centreline.tsv) or a mask (desc-cord_mask.nii.gz), or choose a recipe "
            "with the step brain."
        )
    near = near_centreline(nodes, Grid.of(reference.volume), radius_mm=radius_mm)
    if not near.data.any():
        raise SiteDataError(
            f"want the cord's centreline inside the {case.reference}'s field of view, found no "
            f"voxel within {radius_mm:g} mm of it; its nodes reach from "
            f"{nodes.min(axis=0).round(1).tolist()} to {nodes.max(axis=0).round(1).tolist()} mm. "
            "Give them in the world of that image's header (mm; x right, y forwards, z up)."
        )
    return replace(case, brain=WorkingImage(volume=near, to_common=reference.to_common))


def _reference_first(case: WorkingCase) -> Iterator[str]:
    yield case.reference
    yield from (name for name in case.images if name != case.reference)


def _bias_corrected(case: WorkingCase) -> WorkingCase:
    images, notes = {}, list(case.notes)
    for name, image in case.images.items():
        brain = _brain_on(case, image)
        assert brain is not None, "the recipe's order has brain or cord before the bias field"
        if not brain.data.any():
            raise SiteDataError(
                f"want the brain inside the {name}'s field of view, found no voxel of it there. "
                "Look at the headers, and at the registration where the recipe has one."
            )
        corrected = correct_bias(image.volume, brain)
        notes += shading_doubts(name, image.volume, corrected, brain)
        images[name] = replace(image, volume=corrected)
    return replace(case, images=images, notes=tuple(notes))


def _brain_on(case: WorkingCase, image: WorkingImage) -> Volume | None:
    """The brain, where it is known, as bool on the image's own grid."""
    brain = case.brain
    if brain is None:
        return None
    seen_from_image = np.linalg.inv(image.to_common) @ brain.to_common
    here = replace(brain, to_common=seen_from_image)
    return _mask_on(here, Grid.of(image.volume))


def _brain_of(case: WorkingCase) -> WorkingImage:
    assert case.brain is not None, "the recipe's steps hold brain or cord"
    return case.brain


def _mask_on(mask: WorkingImage, grid: Grid) -> Volume:
    onto = resampled(mask, grid, interpolation="nearest")
    return Volume(onto.data > 0, onto.affine)


def _in_common_space(cases: Sequence[WorkingCase], settings: Preprocessing) -> list[WorkingCase]:
    """The cases with the last of their moves: from the reference's place to the common one."""
    if settings.space == "own":
        return list(cases)
    if settings.space == "mni152":
        (case,) = cases
        reference = case.images[case.reference]
        brain = _brain_on(case, reference)
        assert brain is not None, "the recipe's steps hold brain or cord"
        found = mni_registration(reference.volume, brain)
        doubts = _doubts(found, f"{case.reference} to MNI152", max_shift_mm=math.inf)
        return [_moved(replace(case, notes=(*case.notes, *doubts)), found.matrix)]
    if len(cases) == 1:
        note = "one session only: it stays in its own space, not halfway to another"
        return [replace(cases[0], notes=(*cases[0].notes, note))]
    first, second = cases
    between = rigid_move(
        second.images[second.reference].volume,
        first.images[first.reference].volume,
        fixed_mask=_brain_on(second, second.images[second.reference]),
    )
    doubts = _doubts(between, "first to second session", max_shift_mm=DATES_SHIFT_MM)
    to_halfway = halfway(between.matrix)
    return [
        replace(_moved(case, move), notes=(*case.notes, *doubts))
        for case, move in zip(cases, to_halfway, strict=True)
    ]


def _moved(case: WorkingCase, move: FloatArray) -> WorkingCase:
    """The case with `move` after all its moves."""

    def after(image: WorkingImage) -> WorkingImage:
        return replace(image, to_common=move @ image.to_common)

    return replace(
        case,
        images={name: after(image) for name, image in case.images.items()},
        brain=None if case.brain is None else after(case.brain),
        lesions=None if case.lesions is None else after(case.lesions),
        cord=None if case.cord is None else after(case.cord),
        raters={rater: after(mask) for rater, mask in case.raters.items()},
    )


def _grid_of(cases: Sequence[WorkingCase], settings: Preprocessing) -> Grid:
    """The common grid before the crop: the template's, or all the references' fields of view."""
    if settings.space == "mni152":
        return mni_grid()
    fields = [
        common_grid(
            case.images[case.reference], None, spacing_mm=settings.spacing_mm, margin_mm=0.0
        )
        for case in cases
    ]
    return functools.reduce(Grid.joined, fields)


def _box(mask: BoolArray, grid: Grid, margin_mm: float) -> tuple[slice, slice, slice]:
    """The slices that hold `mask` and the margin around it, cut at the grid's edge."""
    found = ndimage.find_objects(mask.astype(np.uint8), max_label=1)[0]
    spacing_mm = np.linalg.norm(grid.affine[:3, :3], axis=0)
    margins = np.ceil(margin_mm / spacing_mm).astype(int).tolist()
    i, j, k = (
        slice(max(0, part.start - margin), min(n, part.stop + margin))
        for part, margin, n in zip(found, margins, mask.shape, strict=True)
    )
    return i, j, k


def _on_grid(case: WorkingCase, grid: Grid, brain: Volume, *, of_head: bool) -> PreparedVolumes:
    """The case on the common grid, stripped; the one place where an image is interpolated."""
    images, notes = {}, list(case.notes)
    for name, image in case.images.items():
        missing = share_outside(_brain_of(case), image)
        if missing > MISSING_SHARE:
            notes.append(f"{missing:.0%} of the brain lies outside the field of view of the {name}")
        onto = resampled(image, grid, interpolation="linear")
        inside = np.where(brain.data, onto.data, 0).astype(np.float32)
        if inside.min() == inside.max():
            raise SiteDataError(
                f"the {name} shows nothing inside the brain once it lies on the common grid. "
                "Look at its field of view, its header and its registration."
            )
        images[name] = Volume(inside, grid.affine)
    lesions = None
    if case.lesions is not None:
        resampled_mask = resampled_lesions(case.lesions, grid)
        lesions = Volume(resampled_mask.volume.data > 0, grid.affine)
        notes.extend([] if resampled_mask.note is None else [resampled_mask.note])
    if of_head:
        notes += tissue_doubts(images, brain, lesions)
    return PreparedVolumes(
        images=images,
        brain=brain,
        lesions=lesions,
        raters={rater: _mask_on(mask, grid) for rater, mask in case.raters.items()},
        moves={name: image.to_common for name, image in case.images.items()},
        notes=tuple(notes),
        lesions_move=None if case.lesions is None else case.lesions.to_common,
    )
