from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from common.imaging.intake.intake import survey
from common.recipe.task import Task
from tests.nifti_headers import write_nifti
from tests.volumes import (
    SPACING_MM,
    image_path,
    mask_path,
    oblique_affine,
    stripped_brain,
    two_lesions,
    write_site,
)

TASK = Task(modalities=("FLAIR", "T1w"))


def of_sub_02(root: Path) -> list[Path]:
    return [
        image_path(root, "sub-02", "FLAIR"),
        image_path(root, "sub-02", "T1w"),
        mask_path(root, "sub-02", "lesion"),
    ]


def patched(path: Path, offset: int, layout: str, *values: float) -> None:
    content = bytearray(gzip.decompress(path.read_bytes()))
    struct.pack_into("<" + layout, content, offset, *values)
    path.write_bytes(gzip.compress(bytes(content), 1))


@pytest.mark.parametrize(
    ("offset", "layout", "values", "code", "part"),
    [
        pytest.param(252, "h", (0, 0), "no-place", "neither sform nor qform", id="no codes"),
        pytest.param(254, "h", (7,), "form-code", "the sform has the code 7", id="code 7"),
        pytest.param(268, "f", (-30.0,), "two-places", "corners up to 31.5 mm apart", id="moved"),
        pytest.param(80, "f", (2.0,), "two-spacings", "pixdim says 2 x 1.25 x 3 mm", id="pixdim"),
        pytest.param(123, "b", (5,), "unit", "has the code 5, none of NIfTI's", id="unit"),
    ],
)
def test_what_all_files_of_a_case_say_is_one_finding_that_names_them(
    tmp_path: Path, offset: int, layout: str, values: tuple[float, ...], code: str, part: str
) -> None:
    write_site(tmp_path)
    for path in of_sub_02(tmp_path):
        patched(path, offset, layout * len(values), *values)
    intake = survey(tmp_path, task=TASK, thorough=True)
    (finding,) = [finding for finding in intake.findings if finding.code == code]
    assert (finding.level, finding.case) == ("warning", "sub-02")
    assert finding.text.startswith("FLAIR, T1w, lesion mask: ")
    assert part in finding.text
    assert [case.name for case in intake.usable] == ["sub-01", "sub-02"]


def test_axes_of_an_image_without_a_place_are_unknown(tmp_path: Path) -> None:
    write_site(tmp_path)
    for path in of_sub_02(tmp_path):
        patched(path, 252, "hh", 0, 0)
    facts = survey(tmp_path, task=TASK, thorough=True).facts
    assert [image.orientation for case in facts for image in case.images] == [
        *("RAS", "RAS"),
        *("unknown", "unknown"),
    ]


def test_a_quaternion_that_is_none_costs_its_own_case_alone(tmp_path: Path) -> None:
    write_site(tmp_path)
    write_nifti(
        image_path(tmp_path, "sub-01", "FLAIR"),
        stripped_brain().data,
        quaternion=(0.0, 1.7, 0.0),
        pixdim=SPACING_MM,
        sform_code=0,
        qform_code=1,
    )
    intake = survey(tmp_path, task=TASK)
    assert intake.quarantined == ("sub-01",)
    assert [case.name for case in intake.usable] == ["sub-02"]
    (finding,) = [finding for finding in intake.findings if finding.code == "bad-affine"]
    assert "sub-01_FLAIR.nii.gz: want a quaternion of length 1" in finding.text


def test_a_mask_as_spm_writes_it_is_a_mask(tmp_path: Path) -> None:
    write_site(tmp_path, subjects=["sub-01"])
    write_nifti(
        mask_path(tmp_path, "sub-01", "lesion"),
        two_lesions().data * np.uint8(255),
        sform=oblique_affine(),
        pixdim=SPACING_MM,
        slope=1 / 255,
    )
    (case,) = survey(tmp_path, task=TASK, thorough=True).usable
    assert case.n_lesion_voxels == 8


def test_a_scaled_mask_with_fractions_is_told_what_is_true_of_it(tmp_path: Path) -> None:
    write_site(tmp_path, subjects=["sub-01"])
    write_nifti(
        mask_path(tmp_path, "sub-01", "lesion"),
        two_lesions().data * np.uint8(200),
        sform=oblique_affine(),
        pixdim=SPACING_MM,
        slope=1 / 255,
    )
    intake = survey(tmp_path, task=TASK)
    (finding,) = [finding for finding in intake.findings if finding.code == "not-labels"]
    assert "some of them fractions (stored as uint8, times 0.00392157, plus 0)" in finding.text
    assert finding.fix.startswith("Save the mask without scaling")
    assert "8-bit" not in finding.fix
