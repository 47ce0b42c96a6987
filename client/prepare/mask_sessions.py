"""Masks of the later date's new lesions that were drawn on the earlier date's image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from common.errors import SiteDataError
from common.imaging.preprocessing.chain import PreparedVolumes
from common.imaging.preprocessing.working_case import WorkingCase, WorkingImage
from common.imaging.volume import same_grid


def masks_with_their_image(dates: Sequence[WorkingCase]) -> list[WorkingCase]:
    """The dates with each mask of the later one at the date on whose image it was drawn.

    dates   the two of one subject, the earlier first
    A mask on a grid of its own date stays there, also where both dates have that grid. Undone by
    `masks_with_their_date`. SiteDataError where the earlier date has such a mask already.
    """
    earlier, later = dates
    moved = _drawn_on_the_other(earlier, later)
    present = ({"reference"} if earlier.lesions is not None else set()) | set(earlier.raters)
    if clash := sorted(present & set(moved)):
        raise SiteDataError(
            f"both dates have a mask of new lesions on the earlier date's image ({clash[0]}). "
            "Remove the earlier date's: nothing is new there."
        )
    return [
        _with_masks(earlier, _masks(earlier) | moved),
        _with_masks(
            later, {name: mask for name, mask in _masks(later).items() if name not in moved}
        ),
    ]


def masks_with_their_date(
    prepared: Sequence[PreparedVolumes], dates: Sequence[WorkingCase]
) -> list[PreparedVolumes]:
    """What the chain made of `masks_with_their_image(dates)`, every mask at its own date again.

    Both dates lie on one grid by now.
    """
    moved = _drawn_on_the_other(*dates)
    first, second = prepared
    guests = {rater: mask for rater, mask in first.raters.items() if rater in moved}
    own = {rater: mask for rater, mask in first.raters.items() if rater not in moved}
    in_order = {**guests, **second.raters}
    raters = {rater: in_order[rater] for rater in dates[1].raters}
    if "reference" not in moved:
        return [replace(first, raters=own), replace(second, raters=raters)]
    return [
        replace(first, lesions=None, lesions_move=None, raters=own),
        replace(second, lesions=first.lesions, lesions_move=first.lesions_move, raters=raters),
    ]


def _drawn_on_the_other(earlier: WorkingCase, later: WorkingCase) -> dict[str, WorkingImage]:
    """The later date's masks that lie on a grid of the earlier date alone."""
    return {
        name: mask
        for name, mask in _masks(later).items()
        if not _lies_on(mask, later) and _lies_on(mask, earlier)
    }


def _lies_on(mask: WorkingImage, date: WorkingCase) -> bool:
    return any(same_grid(mask.volume, image.volume) for image in date.images.values())


def _masks(date: WorkingCase) -> dict[str, WorkingImage]:
    """ "reference", and each rater's label -> mask."""
    reference = {} if date.lesions is None else {"reference": date.lesions}
    return {**reference, **date.raters}


def _with_masks(date: WorkingCase, masks: dict[str, WorkingImage]) -> WorkingCase:
    raters = {name: mask for name, mask in masks.items() if name != "reference"}
    return replace(date, lesions=masks.get("reference"), raters=raters)
