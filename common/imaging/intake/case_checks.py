"""What can be wrong inside one case's files: each check looks at the opened case and says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from common.arrays import BoolArray
from common.imaging.brain_mask import looks_stripped
from common.imaging.intake.findings import Finding
from common.imaging.intake.intensity_checks import (
    brain_mask_marks_a_brain,
    values_can_be_prepared,
    values_can_be_trained_on,
)
from common.imaging.intake.usable_case import OpenCase, mask_grid_of
from common.imaging.volume import (
    GRID_TOLERANCE_MM,
    Volume,
    corner_distance_mm,
    grid_text,
    same_grid,
)

FEW_LOST = 0.01
"""Share of the lesion voxels that may lie outside the brain mask before it is a warning."""

MAX_AXIS_COSINE = 1e-3
"""Axes whose cosine is larger are skew: what `sitk_image.to_sitk` refuses."""

SHOWN_LABELS = 10
"""Labels of a mask spelled out in one finding; the rest is left out."""


Check = Callable[[OpenCase], Iterator[Finding]]


def modalities_share_a_grid(case: OpenCase) -> Iterator[Finding]:
    """Blocking for each modality on another grid than the first."""
    for modality, image in case.images.items():
        yield from _off_grid(
            case,
            image,
            name=modality,
            code="image-grid",
            fix="Register it rigidly to the {first} and resample it onto its grid: run "
            "lesionfed-site prepare.",
        )


def masks_lie_on_the_images(case: OpenCase) -> Iterator[Finding]:
    """Blocking for a lesion or brain mask on another grid than the first modality."""
    for name, mask in case.masks.items():
        yield from _off_grid(
            case,
            mask,
            name=name,
            code="mask-grid",
            fix="Resample it onto the {first}'s grid with nearest neighbour, or draw it there.",
        )


def modalities_have_grids_of_their_own(case: OpenCase) -> Iterator[Finding]:
    """A note for each modality on another grid than the first: preparing registers them."""
    if case.first is None:
        return
    first, reference = case.first
    for modality, image in case.images.items():
        if not same_grid(image, reference):
            yield case.finding(
                "note",
                "image-grid",
                text=f"{modality} lies on another grid than {first} (corners within "
                f"{GRID_TOLERANCE_MM:g} mm); {modality}: "
                f"{grid_text(image)}; {first}: {grid_text(reference)}",
                fix="Nothing to do: lesionfed-site prepare registers it.",
            )


def masks_lie_on_some_image(case: OpenCase) -> Iterator[Finding]:
    """Blocking for a lesion or brain mask on the grid of no modality, of the other date neither.

    Without one it is unknown which image's move the mask has to follow.
    """
    for name, mask in case.masks.items() if case.images else ():
        on = mask_grid_of(case, mask) or next(
            (image for image, grid in case.other.items() if same_grid(grid, mask)), None
        )
        if on is None:
            grids = "; ".join(f"{key}: {grid_text(image)}" for key, image in case.images.items())
            yield case.finding(
                "blocking",
                "mask-grid",
                text=f"{name} lies on the grid of no modality (corners within "
                f"{GRID_TOLERANCE_MM:g} mm); {name}: {grid_text(mask)}; {grids}",
                fix="Resample it with nearest neighbour onto the image it was drawn on.",
            )
        elif on != next(iter(case.images)):
            yield case.finding(
                "note",
                "mask-grid",
                text=f"{name} lies on the grid of the {on}",
                fix="Nothing to do: it follows the registration of that image.",
            )


def axes_are_square(case: OpenCase) -> Iterator[Finding]:
    """Blocking for an image with skew axes, which cannot be registered."""
    for modality, image in case.images.items():
        axes = image.affine[:3, :3] / image.spacing_mm
        cosine = float(np.abs(axes.T @ axes - np.eye(3)).max())
        if cosine > MAX_AXIS_COSINE:
            yield case.finding(
                "blocking",
                "skew-axes",
                text=f"{modality}: want axes at right angles, found two with a cosine of "
                f"{cosine:.3g} (at most {MAX_AXIS_COSINE:g}); {grid_text(image)}",
                fix="Take the image as the scanner gave it, or resample it onto a square grid.",
            )


def images_show_something(case: OpenCase) -> Iterator[Finding]:
    """Blocking for an image of one value throughout."""
    for modality, image in case.images.items():
        low, high = float(image.data.min()), float(image.data.max())
        if low == high:
            yield case.finding(
                "blocking",
                "empty-image",
                text=f"{modality} holds nothing but {low:g}",
                fix="Export the image again.",
            )


def lesion_labels_are_plain(case: OpenCase) -> Iterator[Finding]:
    """A warning for several labels, a note for none."""
    if case.lesions is None:
        return
    labels = np.unique(case.lesions.data[case.lesions.data > 0]).tolist()
    if not labels:
        yield case.finding(
            "note",
            "no-lesions",
            text="the lesion mask is empty: a lesion-free scan, which is scored but not trained on",
            fix="Nothing to do if that is meant.",
        )
    if len(labels) > 1:
        shown = ", ".join(map(str, labels[:SHOWN_LABELS]))
        more = ", .." if len(labels) > SHOWN_LABELS else ""
        yield case.finding(
            "warning",
            "several-labels",
            text=f"want one label in the lesion mask, found {len(labels)} ({shown}{more}); "
            "every voxel above 0 counts as lesion",
            fix="Remove the labels that are not MS lesion, if there are such.",
        )


def brain_is_known(case: OpenCase) -> Iterator[Finding]:
    """Blocking when the brain cannot be distinguished from its surroundings, or has no voxel."""
    if case.brain is not None:
        yield from _masked_brain(case, case.brain.data > 0)
    elif case.files.brain_mask is None and case.images:
        stripped = [name for name, image in case.images.items() if looks_stripped(image)]
        if stripped:
            yield case.finding(
                "note",
                "brain-mask-made",
                text="no brain mask, but it looks skull-stripped "
                f"({', '.join(stripped)}): one is made from the voxels that are not zero",
                fix="Nothing to do if that is right; else add a desc-brain_mask.",
            )
        else:
            yield case.finding(
                "blocking",
                "not-stripped",
                text=f"no brain mask, and no image looks skull-stripped ({', '.join(case.images)})",
                fix="Strip the images (background exactly 0): run lesionfed-site prepare; or add a "
                "desc-brain_mask.",
            )


def brain_mask_holds_a_brain(case: OpenCase) -> Iterator[Finding]:
    """Blocking for a brain mask without a voxel, or over an image of one value."""
    if case.brain is not None:
        yield from _masked_brain(case, case.brain.data > 0)


def lesions_lie_in_the_brain(case: OpenCase) -> Iterator[Finding]:
    """A note when the site's brain mask cuts lesions off, a warning from FEW_LOST on."""
    if case.lesions is None or case.brain is None or not same_grid(case.lesions, case.brain):
        return
    lesions = case.lesions.data > 0
    n_lesion = int(np.count_nonzero(lesions))
    n_lost = int(np.count_nonzero(lesions & (case.brain.data == 0)))
    if n_lost and case.brain.data.any():
        yield case.finding(
            "note" if n_lost < FEW_LOST * n_lesion else "warning",
            "lesion-outside-brain",
            text=f"{n_lost} of {n_lesion} lesion voxels lie outside the brain mask",
            fix="Widen the brain mask, or check that both masks belong to this image.",
        )


CHECKS: tuple[Check, ...] = (
    images_show_something,
    modalities_share_a_grid,
    masks_lie_on_the_images,
    brain_is_known,
    brain_mask_marks_a_brain,
    values_can_be_trained_on,
    lesion_labels_are_plain,
    lesions_lie_in_the_brain,
)
"""Every check that decides whether a case can be trained on, in the order of its findings."""

RAW_CHECKS: tuple[Check, ...] = (
    images_show_something,
    axes_are_square,
    modalities_have_grids_of_their_own,
    masks_lie_on_some_image,
    brain_mask_holds_a_brain,
    brain_mask_marks_a_brain,
    values_can_be_prepared,
    lesion_labels_are_plain,
    lesions_lie_in_the_brain,
)
"""Every check that decides whether a case can be prepared, in the order of its findings."""


def _masked_brain(case: OpenCase, brain: BoolArray) -> Iterator[Finding]:
    fix = "Check that the brain mask belongs to this image."
    if not brain.any():
        text = "the brain mask is empty"
        yield case.finding("blocking", "zero-brain", text=text, fix=fix)
        return
    for modality, image in case.images.items():
        if image.data.shape == brain.shape and np.ptp(image.data[brain]) == 0:
            text = f"{modality} has one value throughout the brain mask"
            yield case.finding("blocking", "zero-brain", text=text, fix=fix)


def _off_grid(
    case: OpenCase, volume: Volume, *, name: str, code: str, fix: str
) -> Iterator[Finding]:
    if case.first is None:
        return
    first, image = case.first
    if not same_grid(volume, image):
        yield case.finding(
            "blocking",
            code,
            text=f"{name} lies on another grid than {first}, corners up to "
            f"{corner_distance_mm(volume, image):.4g} mm apart (at most "
            f"{GRID_TOLERANCE_MM:g} mm); {name}: {grid_text(volume)}; "
            f"{first}: {grid_text(image)}",
            fix=fix.format(first=first),
        )
