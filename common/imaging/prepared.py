"""One case ready for the network: masked, standardized, cropped to its brain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from common.imaging.case_images import CaseImages
from common.imaging.findings import case_name
from common.imaging.preprocessing.standardization import standardize
from common.imaging.preprocessing.template import Template
from common.imaging.volume import Volume
from common.recipe import Standardization

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedCase:
    """One subject-session on the crop that holds its brain and its reference.

    control      the participant is healthy
    image        (C, i, j, k) float32, standardized, 0 outside the brain; may be mapped from disk
    brain        (i, j, k) bool
    lesions      (i, j, k) bool, or None without a reference
    crop_start   the crop's first voxel in the file's grid
    grid_shape   the file's grid
    affine       (4, 4), voxel of the file's grid -> RAS+ world, mm
    """

    subject: str
    session: str | None
    control: bool
    image: npt.NDArray[np.float32]
    brain: BoolArray
    lesions: BoolArray | None
    crop_start: tuple[int, int, int]
    grid_shape: tuple[int, int, int]
    affine: npt.NDArray[np.float64]

    @property
    def name(self) -> str:
        """Subject and session as in file names: `sub-01_ses-02`, or `sub-01`."""
        return case_name(self.subject, self.session)

    @property
    def trainable(self) -> bool:
        """Whether the reference holds at least one lesion voxel."""
        return self.lesions is not None and bool(self.lesions.any())

    @property
    def lesion_volume_ml(self) -> float:
        """Volume of the reference, mL; 0 without one."""
        if self.lesions is None:
            return 0.0
        return int(self.lesions.sum()) * Volume(self.brain, self.affine).voxel_volume_mm3 / 1000

    def on_file_grid(self, cropped: npt.NDArray[np.generic]) -> Volume:
        """An array of the crop, (i, j, k), back on the file's grid, 0 around it."""
        whole = np.zeros(self.grid_shape, cropped.dtype)
        whole[crop_slices(self.crop_start, self.brain.shape)] = cropped
        return Volume(whole, self.affine)


def prepare_case(
    case: CaseImages,
    *,
    subject: str,
    session: str | None,
    control: bool,
    settings: Standardization,
    template: Template,
) -> tuple[PreparedCase, list[str]]:
    """The case, and for each modality whose first step was left out the reason in words.

    template   modality -> landmarks, for the methods that have a template
    """
    brain, lesions = case.brain.data, None if case.lesions is None else case.lesions.data
    box = ndimage.find_objects(
        (brain if lesions is None else brain | lesions).astype(np.uint8), max_label=1
    )[0]
    channels, left_out = [], []
    for modality, image in case.images.items():
        standardized = standardize(
            image.data,
            brain,
            method=settings.method,
            map=settings.map,
            template_landmarks=np.array(template[modality]) if modality in template else None,
        )
        channels.append(standardized.image[box])
        if standardized.fallback is not None:
            left_out.append(f"{modality}: {standardized.fallback}")
    first, second, third = brain.shape
    prepared = PreparedCase(
        subject=subject,
        session=session,
        control=control,
        image=np.stack(channels),
        brain=brain[box],
        lesions=None if lesions is None else lesions[box],
        crop_start=(box[0].start, box[1].start, box[2].start),
        grid_shape=(first, second, third),
        affine=case.brain.affine,
    )
    return prepared, left_out


def crop_slices(start: Sequence[int], shape: Sequence[int]) -> tuple[slice, ...]:
    """The slices of a crop in the file's grid."""
    return tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))
