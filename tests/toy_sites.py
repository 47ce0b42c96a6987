"""Toy hospitals small enough that a federation's time goes into Flower, not into training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import tomli_w

from common.imaging.volume import Volume, write_volume

SHAPE = (44, 40, 36)
AFFINE = np.array(
    [[1.2, 0.2, 0.0, -28.0], [-0.2, 1.2, 0.1, -20.0], [0.0, -0.1, 1.5, -30.0], [0, 0, 0, 1]]
)
LEVELS = {"FLAIR": (60.0, 140.0, 110.0, 220.0), "T1w": (50.0, 100.0, 150.0, 95.0)}
"""Modality -> mean intensity of CSF, grey matter, white matter and lesion."""


def write_site(folder: Path, *, name: str, seed: int, n_subjects: int = 2) -> Path:
    """The new site's `site.toml`, beside a BIDS folder of stripped FLAIR and T1w with lesions.

    Nested ellipsoids of CSF, grey and white matter, two lesions in the white matter, noise, and a
    gain of the site's own; (44, 40, 36) voxels on an oblique, anisotropic grid.
    """
    generator = np.random.default_rng(seed)
    gain = generator.uniform(0.7, 1.6)
    for number in range(1, n_subjects + 1):
        _write_subject(folder / "bids", f"sub-{number:02d}", generator, gain)
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
    radius = _radius()
    csf, grey, white = radius < 1.0, radius < 0.85, radius < 0.65
    lesions = np.zeros(SHAPE, dtype=bool)
    for _ in range(2):
        centre = generator.integers((17, 15, 14), (27, 25, 22))
        offsets = np.indices(SHAPE) - centre[:, None, None, None]
        lesions |= (np.abs(offsets).max(axis=0) <= 2) & white
    for modality, levels in LEVELS.items():
        image = np.zeros(SHAPE)
        for region, level in zip((csf, grey, white, lesions), levels, strict=True):
            image[region] = level
        image = np.where(csf, gain * (image + generator.normal(0, 6, SHAPE)), 0)
        file = bids / subject / "anat" / f"{subject}_{modality}.nii.gz"
        file.parent.mkdir(parents=True, exist_ok=True)
        write_volume(Volume(image.astype(np.float32), AFFINE), file)
    masks = bids / "derivatives" / "manual" / subject / "anat"
    masks.mkdir(parents=True)
    write_volume(Volume(lesions, AFFINE), masks / f"{subject}_desc-lesion_mask.nii.gz")


def _radius() -> npt.NDArray[np.float64]:
    """Distance from the grid's centre, 1 on an ellipsoid two voxels inside its faces."""
    half = (np.array(SHAPE) - 1) / 2
    offsets = np.indices(SHAPE) - half[:, None, None, None]
    scaled = offsets / (half - 2)[:, None, None, None]
    radius: npt.NDArray[np.float64] = np.sqrt(np.sum(np.square(scaled), axis=0))
    return radius
