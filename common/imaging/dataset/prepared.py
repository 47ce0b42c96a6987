"""One case off the disk, and ready for the network: masked, standardized, cropped to its brain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from common.arrays import BoolArray, Float32Array, FloatArray
from common.errors import GeometryError, SiteDataError
from common.imaging.brain_mask import brain_mask_of, looks_stripped
from common.imaging.intake.bids import rater_labels
from common.imaging.intake.findings import case_name
from common.imaging.intake.usable_case import UsableCase
from common.imaging.orientation import UPRIGHT, orientation_of, upright
from common.imaging.standardization.standardization import standardize
from common.imaging.standardization.template import Template
from common.imaging.volume import Volume, read_mask, read_volume
from common.recipe.standardization import Standardization
from common.recipe.task import Task


@dataclass(frozen=True, slots=True)
class CaseImages:
    """What intake found usable, in memory; all on one grid and upright, else GeometryError.

    images     channel -> image, scanner units; without those of optional modalities that it lacks
    brain      bool: the site's own mask, or made from the stripped images; of two dates the union
    lesions    bool, or None without a reference
    raters     "lesionRater1" -> that rater's own mask, bool, in order
    stored_as  storage order of the first modality's file, of two dates the later's, such as "PIR"
    """

    images: dict[str, Volume]
    brain: Volume
    lesions: Volume | None
    raters: dict[str, Volume] = field(default_factory=dict)
    stored_as: str = UPRIGHT

    def __post_init__(self) -> None:
        named = {**self.images, "brain": self.brain, "lesions": self.lesions, **self.raters}
        for name, volume in named.items():
            if volume is not None and (order := orientation_of(volume)) != UPRIGHT:
                raise GeometryError(
                    f"{name}: want the voxels of a case stored as {UPRIGHT}, got {order}. Turn it "
                    "upright as it is read (common/imaging/orientation.py)."
                )

    @property
    def stripped(self) -> bool:
        """Whether every image shows a brain alone, see `looks_stripped`."""
        return all(looks_stripped(image) for image in self.images.values())

    @property
    def lesion_volume_ml(self) -> float:
        """Volume of the reference, mL; 0 without one."""
        if self.lesions is None:
            return 0.0
        return int(self.lesions.data.sum()) * self.lesions.voxel_volume_mm3 / 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedCase:
    """One case on the crop that holds its brain and its references; of two dates, the later's name.

    Upright: i runs to the right, j forwards, k upwards. The file's grid is meant so too, whatever
    the order on disk.

    control      the participant is healthy
    image        (C, i, j, k) float32, standardized, 0 outside the brain and in the channels of
                 `missing`; may be mapped from disk
    brain        (i, j, k) bool
    lesions      (i, j, k) bool, or None without a reference: what is scored, the consensus
    raters       (n, i, j, k) bool, what the output of each rater of the task learns, in order:
                 that rater's own mask, or for one who is missing another's; None without any
    crop_start   the crop's first voxel in the file's grid
    grid_shape   the file's grid
    affine       (4, 4), voxel of the file's grid -> RAS+ world, mm
    stored_as    the order in which the file holds that grid, such as "PIR"
    stripped     every image shows a brain alone
    missing      channels of which it has no image, in order
    drawn_reference   the file of the reference on the scanner's own grid, and that of the prepared
                 one, for `read_drawn_reference`; None where the folder has none
    """

    subject: str
    session: str | None
    control: bool
    image: Float32Array
    brain: BoolArray
    lesions: BoolArray | None
    crop_start: tuple[int, int, int]
    grid_shape: tuple[int, int, int]
    affine: FloatArray
    raters: BoolArray | None = None
    stored_as: str = UPRIGHT
    stripped: bool = True
    missing: tuple[str, ...] = ()
    drawn_reference: tuple[Path, Path] | None = None

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

    def references(self, n_outputs: int) -> tuple[BoolArray, ...]:
        """What each output of the network is to learn, (i, j, k) each: the consensus last.

        The raters in order before it. Where more are wanted than there are, output r learns from
        rater r modulo their number; without any, from the consensus (chosen). Masks that are
        mapped from disk stay there. SiteDataError for a case without a reference.
        """
        if self.lesions is None:
            raise SiteDataError(
                f"{self.name}: want a reference to learn from, found none. Add its mask, or leave "
                "the case to the statistics."
            )
        own = [self.lesions] if self.raters is None else list(self.raters)
        return (*(own[output % len(own)] for output in range(n_outputs - 1)), self.lesions)

    def on_file_grid(self, cropped: npt.NDArray[np.generic]) -> Volume:
        """An array of the crop, (i, j, k), back on the file's grid, upright, 0 around it."""
        whole = np.zeros(self.grid_shape, cropped.dtype)
        whole[crop_slices(self.crop_start, self.brain.shape)] = cropped
        return Volume(whole, self.affine)


def read_case(usable: UsableCase) -> CaseImages:
    """The case's images, in the order of the channels; SiteDataError names a file gone bad.

    Each file is turned upright here, so that nothing that follows depends on its storage order.
    """
    stored = {channel: read_volume(path) for channel, path in usable.images.items()}
    earlier = usable.earlier
    dates, n_earlier = (
        ((usable,), 0) if earlier is None else ((earlier, usable), len(earlier.images))
    )
    first_of_last_date = [*stored.values()][n_earlier]
    images = {channel: upright(image) for channel, image in stored.items()}
    present = list(images.values())
    return CaseImages(
        images=images,
        stored_as=orientation_of(first_of_last_date),
        brain=brain_of_dates(
            [of_date for of_date in (present[:n_earlier], present[n_earlier:]) if of_date],
            [_read_mask(date.brain_mask) for date in dates],
        ),
        lesions=_read_mask(usable.lesion_mask),
        raters={rater: upright(read_mask(path)) for rater, path in usable.rater_masks.items()},
    )


def brain_of_dates(
    images: Sequence[Sequence[Volume]], own_masks: Sequence[Volume | None]
) -> Volume:
    """The union of the brains of a case's dates, as bool on the images' grid.

    images      for each date its own, at least one, all on one grid
    own_masks   for each date the site's own, or None where its images are stripped
    Errors as in `brain_mask_of`.
    Source      Fenneteau 2021: the union of both dates' masks.
    """
    brains = [brain_mask_of(of_date, own) for of_date, own in zip(images, own_masks, strict=True)]
    return Volume(np.any([brain.data for brain in brains], axis=0), images[0][0].affine)


def _read_mask(path: Path | None) -> Volume | None:
    return None if path is None else upright(read_mask(path))


def prepare_case(
    case: CaseImages,
    *,
    subject: str,
    session: str | None,
    control: bool,
    task: Task,
    settings: Standardization,
    template: Template,
) -> tuple[PreparedCase, list[str]]:
    """The case, and for each channel whose first step was left out the reason.

    template   modality -> landmarks, for the methods that have a template; both dates share them
    Chosen     a rater who is missing is stood in for: in slot r, counted from 0, by the one who is
               number r modulo how many there are among those present; a channel of an optional
             modality that the case lacks is zeros, the mean of a standardized image
    """
    brain, lesions = case.brain.data, None if case.lesions is None else case.lesions.data
    raters = _in_slots({rater: mask.data for rater, mask in case.raters.items()}, task)
    shown = np.any([brain, *([] if lesions is None else [lesions]), *raters], axis=0)
    box = ndimage.find_objects(shown.astype(np.uint8), max_label=1)[0]
    channels, left_out, missing = [], [], []
    for channel in task.channels:
        modality = task.modality_of(channel)
        if channel not in case.images:
            if modality not in task.optional_modalities:
                raise SiteDataError(f"{subject}: want an image of {channel}, found none. Add it.")
            missing.append(channel)
            channels.append(np.zeros(brain[box].shape, np.float32))
            continue
        image = case.images[channel]
        standardized = standardize(
            image.data,
            brain,
            method=settings.method,
            map=settings.map,
            template_landmarks=np.array(template[modality]) if modality in template else None,
        )
        channels.append(standardized.image[box])
        if standardized.fallback is not None:
            left_out.append(f"{channel}: {standardized.fallback}")
    first, second, third = brain.shape
    prepared = PreparedCase(
        subject=subject,
        session=session,
        control=control,
        image=np.stack(channels),
        brain=brain[box],
        lesions=None if lesions is None else lesions[box],
        raters=np.stack([mask[box] for mask in raters]) if raters else None,
        crop_start=(box[0].start, box[1].start, box[2].start),
        grid_shape=(first, second, third),
        affine=case.brain.affine,
        stored_as=case.stored_as,
        stripped=case.stripped,
        missing=tuple(missing),
    )
    return prepared, left_out


def _in_slots(masks: Mapping[str, BoolArray], task: Task) -> list[BoolArray]:
    """One mask for each rater of the task, in order; none where no rater is there."""
    present = [masks[rater] for rater in rater_labels(task) if rater in masks]
    if not present:
        return []
    slots = enumerate(rater_labels(task))
    return [masks.get(rater, present[slot % len(present)]) for slot, rater in slots]


def baseline_intensity(case: PreparedCase, task: Task) -> Float32Array:
    """What the single threshold of the baseline is put on, (i, j, k), standardized units.

    The first modality; for new lesions its change from the earlier date to the later one.
    """
    intensity: Float32Array = case.image[0]
    if task.dates == 2:
        intensity = case.image[len(task.modalities)] - case.image[0]
    return intensity


def crop_slices(start: Sequence[int], shape: Sequence[int]) -> tuple[slice, ...]:
    """The slices of a crop in the file's grid."""
    return tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))
