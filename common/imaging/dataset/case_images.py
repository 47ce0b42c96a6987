"""A usable case off the disk: its images, its brain, its reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from common.imaging.brain_mask import brain_mask_of
from common.imaging.intake.usable_case import UsableCase
from common.imaging.volume import Volume, read_mask, read_volume


@dataclass(frozen=True, slots=True)
class CaseImages:
    """What intake found usable, in memory; all on one grid.

    images    channel -> image, scanner units
    brain     bool: the site's own mask, or made from the stripped images; of two dates the union
    lesions   bool, or None without a reference
    raters    "lesionRater1" -> that rater's own mask, bool, in order
    """

    images: dict[str, Volume]
    brain: Volume
    lesions: Volume | None
    raters: dict[str, Volume] = field(default_factory=dict)

    @property
    def lesion_volume_ml(self) -> float:
        """Volume of the reference, mL; 0 without one."""
        if self.lesions is None:
            return 0.0
        return int(self.lesions.data.sum()) * self.lesions.voxel_volume_mm3 / 1000


def read_case(usable: UsableCase) -> CaseImages:
    """The case's images, in the order of the channels; SiteDataError names a file gone bad."""
    images = {channel: read_volume(path) for channel, path in usable.images.items()}
    dates = (usable,) if usable.earlier is None else (usable.earlier, usable)
    return CaseImages(
        images=images,
        brain=brain_of_dates(
            list(images.values()), [_own_brain(date.brain_mask) for date in dates]
        ),
        lesions=None if usable.lesion_mask is None else read_mask(usable.lesion_mask),
        raters={rater: read_mask(path) for rater, path in usable.rater_masks.items()},
    )


def brain_of_dates(images: Sequence[Volume], own_masks: Sequence[Volume | None]) -> Volume:
    """The union of the brains of a case's dates, as bool on the images' grid.

    images      every date's in turn, as many of each, on one grid
    own_masks   for each date the site's own, or None where its images are stripped
    Errors as in `brain_mask_of`.
    Source      Fenneteau 2021: the union of both dates' masks.
    """
    n = len(images) // len(own_masks)
    brains = [
        brain_mask_of(images[date * n : (date + 1) * n], own) for date, own in enumerate(own_masks)
    ]
    return Volume(np.any([brain.data for brain in brains], axis=0), images[0].affine)


def _own_brain(path: Path | None) -> Volume | None:
    return None if path is None else read_mask(path)
