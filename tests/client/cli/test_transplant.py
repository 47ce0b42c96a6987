from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from client.cli import main
from common.imaging.volume import Volume, write_volume
from tests.tissue_brains import SPACING_MM, brain_of


def controls(root: Path) -> Path:
    """One healthy subject with a brain of ellipsoids, axes along the world's."""
    folder = root / "controls" / "sub-01" / "anat"
    folder.mkdir(parents=True)
    for modality in ("FLAIR", "T1w"):
        data = brain_of(modality).data
        affine = np.diag([*SPACING_MM, 1.0])
        affine[:3, 3] = -affine[:3, :3] @ ((np.array(data.shape) - 1) / 2)
        write_volume(Volume(data, affine), folder / f"sub-01_{modality}.nii.gz")
    table = "participant_id\tdiagnosis\nsub-01\thealthy\n"
    (root / "controls" / "participants.tsv").write_text(table, "utf-8")
    return root / "controls"


def test_controls_become_cases_with_references(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "site"
    words = ["transplant", controls(tmp_path), "--out", out, "--per-subject", "2", "--json"]
    assert main([str(word) for word in words]) == 0
    cases = json.loads(capsys.readouterr().out)
    assert cases["sub-01_ses-01"] == {"n_lesions": 0, "lesion_ml": 0.0}
    assert all(cases[f"sub-01_ses-0{n}"]["n_lesions"] > 0 for n in (2, 3))
    assert list(json.loads((out / "transplant.json").read_text("utf-8"))["cases"]) == list(cases)


def test_the_output_may_not_lie_in_the_folder_that_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = controls(tmp_path)
    assert main(["transplant", str(folder), "--out", str(folder / "new")]) == 2
    assert "one is the other or lies inside it" in " ".join(capsys.readouterr().err.split())
    assert not (folder / "new").exists()


def test_masks_to_leave_out_of_none_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = controls(tmp_path)
    words = ["transplant", folder, "--out", tmp_path / "new", "--without-masks", folder]
    assert main([str(word) for word in words]) == 2
    assert "there is no --lesion-masks" in " ".join(capsys.readouterr().err.split())
