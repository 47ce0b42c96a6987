"""The brains and lesions that phantoms are made from: bundled and drawn, or real ones."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from common.arrays import BoolArray
from common.errors import ConfigError, SiteDataError
from common.imaging.volume import NIFTI_SUFFIXES, Volume, VolumeFault, read_grid, read_labels
from common.imaging.voxel_digest import voxel_digests
from common.phantom.anatomy import Anatomy, individual, label_map_anatomy, mni_anatomy
from common.phantom.grid import (
    FIELD_OF_VIEW_MM,
    LABEL_MAP_BOX_MM,
    Field,
    PhantomGrid,
    anatomy_grid,
    covering,
    resampled,
)
from common.phantom.lesions import (
    LesionHabit,
    PhantomLesions,
    drawn_lesions,
    masked_lesions,
    no_lesions,
)
from common.phantom.subject import Subject, subject_of
from common.seeds import derived_seed

log = logging.getLogger(__name__)

MNI_1MM = covering(FIELD_OF_VIEW_MM, (1.0, 1.0, 1.0))
"""The grid of the MNI152 images at 1 mm; files may run from left to right or from right to left."""
LEAST_LOAD_ML = 2.0
"""Masks with less lesion are passed over: on a 2 mm grid next to nothing would be left of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What subjects are made from, loaded once.

    anatomies      one or more brains, all on one grid
    lesion_masks   files of `mni_lesion_masks`; none where lesions are drawn
    """

    anatomies: tuple[Anatomy, ...]
    lesion_masks: tuple[Path, ...] = ()

    def subject(self, number: int, *, habit: LesionHabit, seed: int, healthy: bool) -> Subject:
        """Subject `number` of a consortium; brains and masks are assigned in turn.

        The second time round a mask is mirrored; a healthy subject has no lesions.
        """
        rng = np.random.default_rng(derived_seed(seed, "subject", number))
        average = self.anatomies[number % len(self.anatomies)]
        anatomy, deformation = individual(average, rng)
        lesions: PhantomLesions
        if healthy:
            lesions = no_lesions(anatomy.grid)
        elif self.lesion_masks:
            turn, place = divmod(number, len(self.lesion_masks))
            share = lesion_share(self.lesion_masks[place], anatomy.grid, mirrored=turn % 2 == 1)
            lesions = masked_lesions(deformation.warped(share[None])[0], anatomy, habit, rng)
        else:
            lesions = drawn_lesions(anatomy, habit, rng)
        return subject_of(anatomy, lesions, rng)


def load_sources(
    spacing_mm: float,
    *,
    anatomies: Path | None,
    lesion_masks: Path | None,
    n_subjects: int,
    seed: int,
    without_masks: Sequence[str] = (),
) -> Sources:
    """Brains and lesions for `n_subjects` subjects, in an order drawn from `seed`.

    spacing_mm      of the images that scanners will make
    anatomies       folder of FreeSurfer label maps; None: the MNI template
    lesion_masks    folder of lesion masks in MNI space; None: lesions are drawn
    without_masks   masks to leave out, as in `mni_lesion_masks`
    """
    if anatomies is None:
        brains = [mni_anatomy(anatomy_grid(spacing_mm))]
    else:
        chosen = shuffled(nifti_files(anatomies), derived_seed(seed, "anatomies"))[:n_subjects]
        grid = anatomy_grid(spacing_mm, LABEL_MAP_BOX_MM)
        brains = [label_map_anatomy(path, grid) for path in chosen]
    if lesion_masks is None:
        if without_masks:
            raise ConfigError(
                f"masks to leave out ({', '.join(without_masks)}) without a folder of lesion masks."
                " Name the folder with --lesion-masks, or leave --without-masks out."
            )
        return Sources(anatomies=tuple(brains))
    masks = mni_lesion_masks(lesion_masks, without=without_masks)
    return Sources(
        anatomies=tuple(brains),
        lesion_masks=tuple(shuffled(masks, derived_seed(seed, "lesion masks"))),
    )


def nifti_files(folder: Path) -> list[Path]:
    """The NIfTI files in `folder` and below, by path; SiteDataError when there is none."""
    files = sorted(p for p in folder.rglob("*") if p.name.endswith(NIFTI_SUFFIXES))
    if not files:
        raise SiteDataError(
            f"{folder}: want NIfTI files ({' or '.join(NIFTI_SUFFIXES)}), found none. "
            "Check the path."
        )
    return files


def different_label_maps(folder: Path) -> list[Path]:
    """The NIfTI files in `folder` and below, by path; of files with the same voxels the first."""
    seen: set[bytes] = set()
    files = []
    for path in nifti_files(folder):
        digests = voxel_digests(read_labels(path))
        if seen.isdisjoint(digests):
            files.append(path)
        seen.update(digests)
    return files


def mni_lesion_masks(
    folder: Path, *, without: Sequence[str] = (), least_ml: float = LEAST_LOAD_ML
) -> list[Path]:
    """Files in `folder` and below that are lesion masks on the MNI152 1 mm grid.

    without    masks to leave out, such as those of patients whose images are judged: a number in
               the file's name (`07` is in patient07_lesion.nii.gz and in no patient107), a pattern
               of the whole name (`patient07*`), or the path of a mask or of a folder of masks,
               wherever it lies, with a / in it. ConfigError where a number or a pattern fits no
               mask; a warning where no mask has the voxels of a path
    least_ml   masks with less lesion are passed over, and so are other grids, other values than 0
               and 1, and files that cannot be read
    A file that holds the same lesions as one before it, or as one left out, is passed over too.
    """
    files = nifti_files(folder)
    on_grid = [path for path in files if _on_mni_grid(path)]
    paths = [word for word in without if "/" in word and Path(word).exists()]
    words = [word for word in without if word not in paths]
    if unknown := [word for word in words if not any(named(path, word) for path in on_grid)]:
        raise ConfigError(
            f"{folder}: masks to leave out: no mask on the MNI152 grid is named "
            f"{' or '.join(map(repr, unknown))}, and no such file is there. Write a number that is "
            "in the file's name, a pattern of the whole name such as 'patient07*', or a path such "
            "as ./07."
        )
    left_out = [path for path in on_grid if any(named(path, word) for word in words)]
    elsewhere = {word: mask_digests([Path(word)]) for word in paths}
    seen = set(mask_digests(left_out)).union(*elsewhere.values())
    here: set[bytes] = set()
    masks = []
    for path in on_grid:
        digests = _lesion_digests(path, least_ml)
        here.update(digests)
        if path not in left_out and digests and seen.isdisjoint(digests):
            masks.append(path)
            seen.update(digests)
    for word, digests_there in elsewhere.items():
        if here.isdisjoint(digests_there):
            log.warning(
                "%s: no mask in %s has these voxels, so none is left out for it. A mask on another "
                "grid is not recognized: name it by its number",
                word,
                folder,
            )
    if not masks and without:
        raise SiteDataError(
            f"{folder}: none of its {len(on_grid)} masks on the MNI152 grid is left without "
            f"{', '.join(without)}. Give more masks, or none: lesions are then drawn."
        )
    if not masks:
        raise SiteDataError(
            f"{folder}: want lesion masks (0 and 1, at least {least_ml:g} mL) on the MNI152 "
            f"grid of {MNI_1MM.shape} voxels of 1 mm, found none among {len(files)} NIfTI files. "
            "Register the masks to MNI152 and resample them with nearest neighbour."
        )
    log.info(
        "lesion masks", extra={"n_masks": len(masks), "n_passed_over": len(files) - len(masks)}
    )
    return masks


def mask_digests(paths: Sequence[Path]) -> frozenset[bytes]:
    """What identifies the lesions of every mask in `paths`, files or folders of NIfTI files.

    Every voxel above 0 is lesion. VolumeFault where a file cannot be read.
    """
    files = [file for path in paths for file in (nifti_files(path) if path.is_dir() else [path])]
    return frozenset(digest for file in files for digest in _digests(read_labels(file)))


def mask_record(mask: Path) -> dict[str, str | list[str]]:
    """What a mask is recognized by, for a record: its file's SHA-256, and `mask_digests` in hex."""
    return {
        "sha256": hashlib.sha256(mask.read_bytes()).hexdigest(),
        "voxels": [digest.hex() for digest in sorted(mask_digests([mask]))],
    }


def named(path: Path, word: str) -> bool:
    """Whether `word` is a number in the name of `path`, or a pattern that its whole name fits."""
    return word in re.findall(r"\d+", path.name) or fnmatchcase(path.name, word)


def lesion_share(path: Path, grid: PhantomGrid, *, mirrored: bool) -> Field:
    """The share of each voxel of `grid` that the mask in `path`, on the MNI grid, calls lesion.

    mirrored   with left and right exchanged
    """
    return resampled(on_mni_grid(path, mirrored=mirrored).astype(np.float32), MNI_1MM, grid)


def on_mni_grid(path: Path, *, mirrored: bool) -> BoolArray:
    """The mask in `path`, a file of `mni_lesion_masks`, on MNI_1MM, which runs from left to right.

    mirrored   with left and right exchanged
    """
    volume = read_labels(path)
    from_right_to_left = bool(volume.affine[0, 0] < 0)
    mask: BoolArray = volume.data > 0
    return mask[::-1] if from_right_to_left != mirrored else mask


def shuffled(files: list[Path], seed: int) -> list[Path]:
    """The files in an order drawn from `seed`."""
    order = np.random.default_rng(seed).permutation(len(files))
    return [files[place] for place in order]


def _on_mni_grid(path: Path) -> bool:
    try:
        grid = read_grid(path)
    except VolumeFault:
        return False
    affine = grid.affine
    if grid.data.shape != MNI_1MM.shape or affine[1, 1] < 0 or affine[2, 2] < 0:
        return False
    middle = (np.array(MNI_1MM.shape) - 1) / 2
    apart = (affine[:3, :3] - np.diag(np.diag(affine[:3, :3]))) @ middle
    centre = affine[:3, :3] @ middle + affine[:3, 3]
    own = MNI_1MM.affine[:3, :3] @ middle + MNI_1MM.affine[:3, 3]
    # FSL's grid and its mirror differ by one voxel about x = 0
    return bool(np.abs(apart).max() < 1.0 and np.abs(centre - own).max() < 1.01)


def _lesion_digests(path: Path, least_ml: float) -> tuple[bytes, ...]:
    """What identifies the lesions of a mask; nothing where it is none, or holds too little."""
    try:
        labels = read_labels(path)
    except VolumeFault:
        return ()
    n_voxels = int(np.count_nonzero(labels.data))
    if int(labels.data.max()) != 1 or n_voxels < 1000.0 * least_ml:
        return ()
    return _digests(labels)


def _digests(labels: Volume) -> tuple[bytes, ...]:
    return voxel_digests(Volume(labels.data > 0, labels.affine))
