"""By which digests the images of a case are known, here and, salted, between hospitals."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from common.imaging.intake.bids import CaseFiles
from common.imaging.volume import VolumeFault, read_mask, read_volume
from common.imaging.voxel_digest import voxel_digests


@dataclass(frozen=True, slots=True)
class ImageDigests:
    """One image, or one mask that is not empty.

    what      its modality, or whose mask it is
    digests   of its voxels, hexadecimal; an image with one in common is the same
    """

    what: str
    digests: tuple[str, ...]


def image_digests(case: CaseFiles) -> Iterator[ImageDigests]:
    """The case's images and masks, each read once.

    Left out: a file that cannot be read, whose case can neither train nor be judged; an empty mask,
    and an image of one value, which is nobody's: many exports write it where an image failed.
    """
    masks = {**case.rater_masks}
    if case.lesion_mask is not None:
        masks["lesion mask"] = case.lesion_mask
    for what, path in (*case.images.items(), *masks.items()):
        try:
            volume = read_mask(path) if what in masks else read_volume(path)
        except VolumeFault:
            continue
        of_somebody = volume.data.any() if what in masks else volume.data.min() != volume.data.max()
        if of_somebody:
            yield ImageDigests(what, tuple(digest.hex() for digest in voxel_digests(volume)))


def salted_labels(subjects: Iterable[str], *, salt: str) -> tuple[str, ...]:
    """`salted`, of labels: small and capital letters are one, as in BIDS."""
    return salted({subject.casefold() for subject in subjects}, salt=salt)


def salted(values: Iterable[str], *, salt: str) -> tuple[str, ...]:
    """The SHA-256 of each value behind the salt, sorted: their order says nothing.

    Who has the salt can test whether a value that he has is among them. A digest of voxels cannot
    be guessed; a label can.
    """
    return tuple(sorted(hashlib.sha256(f"{salt} {value}".encode()).hexdigest() for value in values))
