"""A usable case off the disk: its images, its brain, its reference."""

from __future__ import annotations

from dataclasses import dataclass

from common.imaging.brain_mask import brain_mask_of
from common.imaging.intake import UsableCase
from common.imaging.volume import Volume, read_mask, read_volume


@dataclass(frozen=True, slots=True)
class CaseImages:
    """What intake found usable, in memory; all on one grid.

    images    modality -> image, scanner units
    brain     bool: the site's own mask, or made from the stripped images
    lesions   bool, or None without a reference
    """

    images: dict[str, Volume]
    brain: Volume
    lesions: Volume | None

    @property
    def lesion_volume_ml(self) -> float:
        """Volume of the reference, mL; 0 without one."""
        if self.lesions is None:
            return 0.0
        return int(self.lesions.data.sum()) * self.lesions.voxel_volume_mm3 / 1000


def read_case(usable: UsableCase) -> CaseImages:
    """The case's images, in the order of the modalities; SiteDataError names a file gone bad."""
    images = {modality: read_volume(path) for modality, path in usable.images.items()}
    own_mask = None if usable.brain_mask is None else read_mask(usable.brain_mask)
    return CaseImages(
        images=images,
        brain=brain_mask_of(list(images.values()), own_mask),
        lesions=None if usable.lesion_mask is None else read_mask(usable.lesion_mask),
    )
