"""Small volumes with a story, and a small site made of them; oblique and anisotropic by default."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.arrays import BoolArray, FloatArray
from common.imaging.volume import Volume, write_volume

SPACING_MM = (1.0, 1.25, 3.0)
SHAPE = (12, 14, 8)


def oblique_affine(spacing_mm: tuple[float, float, float] = SPACING_MM) -> FloatArray:
    """A grid turned by 30 degrees about k, then by 20 about i, away from the origin."""
    a, b = np.deg2rad(30), np.deg2rad(20)
    about_k = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_i = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    affine = np.eye(4)
    affine[:3, :3] = about_i @ about_k @ np.diag(spacing_mm)
    affine[:3, 3] = (-61.5, 40.25, 17.0)
    return affine


def brain_voxels(shape: tuple[int, int, int] = SHAPE) -> BoolArray:
    """An ellipsoid that leaves every border voxel of the grid empty."""
    away = [(np.arange(n) - (n - 1) / 2) / ((n - 2) / 2) for n in shape]
    i, j, k = np.meshgrid(*away, indexing="ij")
    return np.asarray(i**2 + j**2 + k**2 <= 1)


def stripped_brain(*, seed: int = 0, shape: tuple[int, int, int] = SHAPE) -> Volume:
    """A brain of values 50 to 150 in exact zeros, float32."""
    values = np.random.default_rng(seed).uniform(50, 150, shape)
    data = np.where(brain_voxels(shape), values, 0).astype(np.float32)
    return Volume(data, oblique_affine())


def head_in_noise(*, seed: int = 0, shape: tuple[int, int, int] = SHAPE) -> Volume:
    """A brain of values 50 to 150 in noise of 1 to 5: no voxel is zero."""
    noise = np.random.default_rng(seed + 1).uniform(1, 5, shape)
    brain = stripped_brain(seed=seed, shape=shape)
    return Volume(np.where(brain.data > 0, brain.data, noise).astype(np.float32), brain.affine)


def two_lesions() -> Volume:
    """Lesions of 6 and 2 voxels inside `brain_voxels`, far apart, uint8."""
    data = np.zeros(SHAPE, np.uint8)
    data[4:6, 5:8, 3] = 1
    data[8, 8, 4:6] = 1
    return Volume(data, oblique_affine())


def brain_mask() -> Volume:
    """The voxels of `brain_voxels`, uint8."""
    return Volume(brain_voxels().astype(np.uint8), oblique_affine())


def image_path(root: Path, subject: str, modality: str, session: str | None = None) -> Path:
    """Where `write_site` puts one image."""
    return (
        root / subject / (session or "") / "anat" / f"{_stem(subject, session)}_{modality}.nii.gz"
    )


def mask_path(root: Path, subject: str, description: str, session: str | None = None) -> Path:
    """Where `write_site` puts one mask, such as the "lesion" or the "brain" mask."""
    folder = root / "derivatives" / "lesions" / subject / (session or "") / "anat"
    return folder / f"{_stem(subject, session)}_desc-{description}_mask.nii.gz"


def write_site(
    root: Path,
    *,
    subjects: Sequence[str] = ("sub-01", "sub-02"),
    sessions: Sequence[str | None] = (None,),
    modalities: Sequence[str] = ("FLAIR", "T1w"),
    lesions: bool = True,
    brain: bool = False,
) -> Path:
    """Write a BIDS site of stripped brains with `two_lesions` each; returns `root`.

    No `dataset_description.json` and no `participants.tsv`, as many a site has none.
    """
    for number, subject in enumerate(subjects):
        for session in sessions:
            for channel, modality in enumerate(modalities):
                image = stripped_brain(seed=10 * number + channel)
                put(image, image_path(root, subject, modality, session))
            if lesions:
                put(two_lesions(), mask_path(root, subject, "lesion", session))
            if brain:
                put(brain_mask(), mask_path(root, subject, "brain", session))
    return root


def put(volume: Volume, path: Path) -> Path:
    """Write `volume` at `path`, making its folder; returns `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(volume, path)
    return path


def _stem(subject: str, session: str | None) -> str:
    return subject if session is None else f"{subject}_{session}"
