"""Volumes and distances beside SimpleITK's reading of the same files, over random headers."""

from __future__ import annotations

import collections
import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from common.arrays import FloatArray
from common.imaging.volume import VolumeFault
from common.metrics.case import CaseScore, score_case
from common.metrics.presets import MSSEG2016
from server.evaluation.score_folders import score_files
from tests.nifti_headers import write_nifti

N_HEADERS = int(os.environ.get("LESIONFED_HEADERS", "200"))
SHAPE = (9, 8, 7)
EVERY_LESION = dataclasses.replace(MSSEG2016, name="every lesion", min_volume_mm3=0)
FIGURES = ("reference_volume_mm3", "predicted_volume_mm3", "hausdorff_mm", "hd95_mm", "assd_mm")


def random_header(rng: np.random.Generator) -> dict[str, Any]:
    """Forms, spacings, units and codes; two times in three they agree in the spacing."""
    spacing = rng.uniform(0.4, 6, 3)
    quaternion = rng.normal(size=4)
    quaternion *= rng.choice([1, 1, 1, 1 + 1e-6, 1.2]) / np.linalg.norm(quaternion)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]  # mirrored or not
    sform: FloatArray = np.eye(4)
    sform[:3, :3] = turn * spacing
    sform[:3, 3] = rng.uniform(-100, 100, 3)
    change = rng.choice(["none", "none", "none", "scaled", "rounded", "sheared", "negative"])
    pixdim = spacing.copy()
    if change == "scaled":
        pixdim *= rng.uniform(0.5, 2, 3)
    elif change == "rounded":
        pixdim *= 1 + rng.choice([1e-6, 1e-5, 3e-5, 1e-4, 1e-3]) * rng.choice([-1, 1], 3)
    elif change == "sheared":
        sform[:3, :3] = sform[:3, :3] @ (np.eye(3) + np.triu(rng.normal(0, 0.2, (3, 3)), 1))
    elif change == "negative":
        pixdim *= rng.choice([-1, 1], 3)
    x, y, z = pixdim
    _, b, c, d = quaternion
    return {
        "sform": sform,
        "quaternion": (b, c, d),
        "offset_mm": tuple(rng.uniform(-100, 100, 3)),
        "qfac": rng.choice([1, -1, 0, -2]),
        "pixdim": (x, y, z),
        "sform_code": int(rng.choice([0, 1, 1, 2, 4, 5, 6, -1])),
        "qform_code": int(rng.choice([0, 0, 0, 1, 2, 3, 7])),
        "units": int(rng.choice([0, 1, 2, 2, 2, 3, 5, 10])),
    }


def by_simpleitk(reference: Path, prediction: Path) -> CaseScore:
    """The same score of what SimpleITK reads; RuntimeError where it refuses."""
    truth, found = sitk.ReadImage(str(reference)), sitk.ReadImage(str(prediction))
    di, dj, dk = truth.GetSpacing()
    return score_case(
        sitk.GetArrayFromImage(truth).transpose(),
        sitk.GetArrayFromImage(found).transpose(),
        spacing_mm=(di, dj, dk),
        definition=EVERY_LESION,
    )


def compared(folder: Path, seed: int) -> str:
    """How our figures and SimpleITK's relate; fails where they differ and no note says why."""
    rng = np.random.default_rng(seed)
    header = random_header(rng)
    masks = []
    for name in ("reference.nii", "prediction.nii"):
        data = np.zeros(SHAPE, np.uint8)
        i, j, k = rng.integers(0, 5, 3)
        data[i : i + 3, j : j + 2, k : k + 2] = 1
        masks.append(write_nifti(folder / name, data, **header))
    reference, prediction = masks
    try:
        ours = score_files(reference, prediction, definition=EVERY_LESION)
    except VolumeFault as fault:
        return f"{fault.code} by us"
    try:
        theirs = by_simpleitk(reference, prediction)
    except RuntimeError:
        return "refused by SimpleITK"
    wanted, found = theirs.metrics(), ours.metrics()
    apart = [
        name
        for name in FIGURES
        if not np.isclose(float(found[name] or 0), float(wanted[name] or 0), rtol=1e-4, atol=0)
    ]
    if apart:
        why = [note for note in ours.notes if "contradicts itself on the voxel size" in note]
        assert why, f"seed {seed}: {apart} differ, and no note says why: {header}"
        assert all(note.startswith("reference, prediction: ") for note in ours.notes)
        return "differs, and a note says why"
    return "agrees, with a note" if ours.notes else "agrees"


def test_figures_are_simpleitks_or_a_note_says_why_not(tmp_path: Path) -> None:
    quiet = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        outcomes = collections.Counter(compared(tmp_path, seed) for seed in range(N_HEADERS))
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(quiet)
    print(dict(outcomes))  # noqa: T201 - pytest shows it on demand
    assert sum(outcomes.values()) == N_HEADERS
    assert {outcome for outcome in outcomes if outcome.endswith("us")} <= {"bad-affine by us"}
    for outcome in ("agrees", "agrees, with a note", "differs, and a note says why"):
        assert outcomes[outcome] >= N_HEADERS / 20, outcomes


@pytest.mark.parametrize("units", [1, 3])
def test_other_units_give_the_figures_of_mm(tmp_path: Path, units: int) -> None:
    mm = {1: 1000.0, 3: 0.001}[units]
    data = np.zeros(SHAPE, np.uint8)
    data[2:4, 3:6, 2:4] = 1
    spacing = (1.0, 1.25, 3.0)
    scores = []
    for name, unit, size in (("mm", 2, 1.0), ("other", units, 1 / mm)):
        sform = np.diag([*(np.array(spacing) * size), 1.0])
        x, y, z = (length * size for length in spacing)
        reference = write_nifti(
            tmp_path / f"{name}-r.nii", data, sform=sform, pixdim=(x, y, z), units=unit
        )
        prediction = write_nifti(
            tmp_path / f"{name}-p.nii",
            np.roll(data, 1, axis=1),
            sform=sform,
            pixdim=(x, y, z),
            units=unit,
        )
        scores.append(score_files(reference, prediction, definition=EVERY_LESION))
    for figure in FIGURES:
        first, second = (score.metrics()[figure] for score in scores)
        assert second == pytest.approx(first, rel=1e-6)
    assert scores[0].notes == ()
    assert "converted to mm" in scores[1].notes[0]
