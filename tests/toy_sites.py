"""Toy hospitals small enough that a federation's time goes into Flower, not into training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import tomli_w

from common.arrays import BoolArray, Float32Array, FloatArray
from common.imaging.volume import Volume, read_mask, read_volume, write_volume

SHAPE = (44, 40, 36)
AFFINE = np.array(
    [[1.2, 0.2, 0.0, -28.0], [-0.2, 1.2, 0.1, -20.0], [0.0, -0.1, 1.5, -30.0], [0, 0, 0, 1]]
)
LEVELS = {"FLAIR": (60.0, 140.0, 110.0, 220.0), "T1w": (50.0, 100.0, 150.0, 95.0)}
"""Modality -> mean intensity of CSF, grey matter, white matter and lesion."""


def write_site(folder: Path, *, name: str, seed: int, n_subjects: int = 2, label: str = "") -> Path:
    """The new site's `site.toml`, beside a BIDS folder of stripped FLAIR and T1w with lesions.

    Nested ellipsoids of CSF, grey and white matter, two lesions in the white matter, noise, and a
    gain of the site's own; (44, 40, 36) voxels on an oblique, anisotropic grid.

    label   in front of each subject's number: sites of one run want different ones
    """
    generator = np.random.default_rng(seed)
    gain = generator.uniform(0.7, 1.6)
    for number in range(1, n_subjects + 1):
        _write_subject(folder / "bids", f"sub-{label}{number:02d}", generator, gain)
    return _write_settings(folder, name)


def longitudinal_site(
    folder: Path,
    *,
    name: str,
    seed: int,
    n_subjects: int = 2,
    n_raters: int = 0,
    n_dates: int = 2,
    label: str = "",
) -> Path:
    """The new site's `site.toml`, beside a BIDS folder of stripped FLAIR of several dates.

    Brains as in `write_site`, on one grid; a lesion that every date shows, and at each date but the
    first one that is new, 5 x 5 x 5 voxels up to the third date: the `desc-newlesion_mask`. Rater
    r's own mask is that one moved by r voxels along j. label: as in `write_site`.
    """
    generator = np.random.default_rng(seed)
    gain = generator.uniform(0.7, 1.6)
    for number in range(1, n_subjects + 1):
        subject = f"sub-{label}{number:02d}"
        shown = _lesion((17, 20, 14))
        for date in range(1, n_dates + 1):
            stem = f"{subject}_ses-{date:02d}"
            if date > 1:
                low = 20 if date % 2 == 0 else 12  # the second and third date's do not touch
                new = _lesion(generator.integers((24, 15, low), (29, 24, low + 3))) & ~shown
                masks = {"newlesion": new}
                masks |= {f"newlesionRater{r}": _moved(new, r) for r in range(1, n_raters + 1)}
                for drawn, mask in masks.items():
                    _write_mask(folder / "bids", subject, f"{stem}_desc-{drawn}_mask", mask)
                shown = shown | new
            image = _image(shown, LEVELS["FLAIR"], generator, gain)
            file = folder / "bids" / subject / f"ses-{date:02d}" / "anat" / f"{stem}_FLAIR.nii.gz"
            file.parent.mkdir(parents=True)
            write_volume(Volume(image, AFFINE), file)
    return _write_settings(folder, name)


def moved_dates(folder: Path, *, seed: int) -> Path:
    """A BIDS folder of two dates as a scanner gives them: on two grids with axes at right angles.

    `longitudinal_site` of one subject who lies 4 mm and 5 degrees elsewhere at the later date. Its
    reference is drawn on the later FLAIR, its only rater's mask is the same on the earlier one.
    """
    root = longitudinal_site(folder, name="raw", seed=seed, n_subjects=1).parent / "bids"
    for number in (1, 2):
        file = root / "sub-01" / f"ses-0{number}" / "anat" / f"sub-01_ses-0{number}_FLAIR.nii.gz"
        write_volume(Volume(read_volume(file).data, scanner_affine(number)), file)
    masks = root / "derivatives" / "manual" / "sub-01" / "anat"
    new = read_mask(masks / "sub-01_ses-02_desc-newlesion_mask.nii.gz").data
    for label, number in (("newlesion", 2), ("newlesionRater1", 1)):
        mask = Volume(new, scanner_affine(number))
        write_volume(mask, masks / f"sub-01_ses-02_desc-{label}_mask.nii.gz")
    return root


def scanner_affine(date: int) -> FloatArray:
    """The toys' grid without its shear, 10 degrees about k; at date 2 the patient has moved."""
    affine = _turned(10) @ np.diag([1.2, 1.2, 1.5, 1.0])
    affine[:3, 3] = (-28.0, -20.0, -30.0)
    if date == 1:
        return affine
    move = _turned(5)
    move[:3, 3] = (3.0, -2.0, 1.7)  # 4 mm long
    return np.asarray(move @ affine)


def _turned(degrees: float) -> FloatArray:
    """A turn about k, (4, 4)."""
    turn = np.eye(4)
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn[:2, :2] = [[c, -s], [s, c]]
    return turn


def _write_settings(folder: Path, name: str) -> Path:
    settings = folder / "site.toml"
    table = {
        "name": name,
        "data": "bids",
        "work": "work",
        "policy": {"min_subjects": 1},
    }
    settings.write_text(tomli_w.dumps(table), encoding="utf-8")
    return settings


def _write_subject(bids: Path, subject: str, generator: np.random.Generator, gain: float) -> None:
    lesions = np.zeros(SHAPE, dtype=bool)
    for _ in range(2):
        lesions |= _lesion(generator.integers((17, 15, 14), (27, 25, 22))) & (_radius() < 0.65)
    for modality, levels in LEVELS.items():
        file = bids / subject / "anat" / f"{subject}_{modality}.nii.gz"
        file.parent.mkdir(parents=True, exist_ok=True)
        write_volume(Volume(_image(lesions, levels, generator, gain), AFFINE), file)
    _write_mask(bids, subject, f"{subject}_desc-lesion_mask", lesions)


def _write_mask(bids: Path, subject: str, name: str, mask: BoolArray) -> None:
    file = bids / "derivatives" / "manual" / subject / "anat" / f"{name}.nii.gz"
    file.parent.mkdir(parents=True, exist_ok=True)
    write_volume(Volume(mask, AFFINE), file)


def _lesion(centre: npt.ArrayLike) -> BoolArray:
    """The voxels at most 2 from the centre along each axis."""
    offsets = np.indices(SHAPE) - np.asarray(centre)[:, None, None, None]
    return np.asarray(np.abs(offsets).max(axis=0) <= 2)


def _moved(mask: BoolArray, n_voxels: int) -> BoolArray:
    return np.roll(mask, n_voxels, axis=1)


def _image(
    lesions: BoolArray,
    levels: tuple[float, ...],
    generator: np.random.Generator,
    gain: float,
) -> Float32Array:
    """A stripped brain of three tissues with lesions, in noise."""
    radius = _radius()
    csf, grey, white = radius < 1.0, radius < 0.85, radius < 0.65
    image = np.zeros(SHAPE)
    for region, level in zip((csf, grey, white, lesions), levels, strict=True):
        image[region] = level
    image = np.where(csf, gain * (image + generator.normal(0, 6, SHAPE)), 0)
    return image.astype(np.float32)


def _radius() -> FloatArray:
    """Distance from the grid's centre, 1 on an ellipsoid two voxels inside its faces."""
    half = (np.array(SHAPE) - 1) / 2
    offsets = np.indices(SHAPE) - half[:, None, None, None]
    scaled = offsets / (half - 2)[:, None, None, None]
    radius: FloatArray = np.sqrt(np.sum(np.square(scaled), axis=0))
    return radius
