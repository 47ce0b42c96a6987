"""What the files of one case hold: shapes, spacings, values, lesions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.imaging.intake.findings import case_name
from common.imaging.intake.nifti_header import read_header
from common.imaging.intake.usable_case import OpenCase
from common.imaging.orientation import orientation_of
from common.imaging.volume import Volume, VolumeFault
from common.metrics.components import find_lesions
from common.metrics.presets import MSSEG2016


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """One image file.

    file         below the site's folder
    shape        (i, j, k)
    spacing_mm   along i, j and k
    orientation  where i, j and k run to, such as "RAS"; "unknown" where no header says it
    data_type    on disk, such as "int16"
    low, high    smallest and largest value, scaling applied
    """

    modality: str
    file: str
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    orientation: str
    data_type: str
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionFacts:
    """The reference of one case.

    file          below the site's folder
    n_lesions     6-connected components above 3 mm3, as the preset msseg2016 counts
    volume_ml     of every voxel above 0
    labels        the labels above 0, rising
    """

    file: str
    n_lesions: int
    volume_ml: float
    labels: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFacts:
    """One case: those of its files that could be read.

    diagnosis   from participants.tsv, or None
    lesions     None without a reference
    """

    subject: str
    session: str | None
    diagnosis: str | None
    images: tuple[ImageFacts, ...]
    lesions: LesionFacts | None

    @property
    def name(self) -> str:
        """Subject and session as in file names: `sub-01_ses-02`, or `sub-01`."""
        return case_name(self.subject, self.session)


def case_facts(case: OpenCase) -> CaseFacts:
    """What the files of `case` hold, for a table; nothing is judged."""
    images = []
    for modality, image in case.images.items():
        stored = case.grid_on_disk(modality)
        di, dj, dk = stored.spacing_mm.round(4).tolist()
        path = case.files.images[modality]
        try:
            data_type = read_header(path).data_type
        except VolumeFault:  # read a moment ago: gone since
            data_type = "unknown"
        images.append(
            ImageFacts(
                modality=modality,
                file=case.shown(path),
                shape=(stored.data.shape[0], stored.data.shape[1], stored.data.shape[2]),
                spacing_mm=(di, dj, dk),
                orientation=orientation_of(stored) if _is_placed(image) else "unknown",
                data_type=data_type,
                low=float(image.data.min()),
                high=float(image.data.max()),
            )
        )
    return CaseFacts(
        subject=case.files.subject,
        session=case.files.session,
        diagnosis=case.files.diagnosis,
        images=tuple(images),
        lesions=_lesion_facts(case),
    )


def _is_placed(image: Volume) -> bool:
    """Whether the header says where the image lies."""
    return all(note.code != "no-place" for note in image.notes)


def _lesion_facts(case: OpenCase) -> LesionFacts | None:
    if case.lesions is None or case.files.lesion_mask is None:
        return None
    mask = case.lesions.data > 0
    found = find_lesions(mask, spacing_mm=case.lesions.spacing_mm, definition=MSSEG2016)
    return LesionFacts(
        file=case.shown(case.files.lesion_mask),
        n_lesions=len(found),
        volume_ml=int(np.count_nonzero(mask)) * case.lesions.voxel_volume_mm3 / 1000,
        labels=tuple(np.unique(case.lesions.data[mask]).tolist()),
    )
