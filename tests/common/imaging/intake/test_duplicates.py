from __future__ import annotations

from pathlib import Path

import numpy as np

from common.imaging.intake.duplicates import case_digests, same_voxels
from common.imaging.intake.intake import survey
from common.imaging.volume import Volume
from common.recipe.task import Task
from tests.opened import opened
from tests.volumes import (
    SHAPE,
    image_path,
    mask_path,
    oblique_affine,
    put,
    stripped_brain,
    two_lesions,
    write_site,
)


def test_one_scan_of_two_subjects_is_reported_once_with_the_other(tmp_path: Path) -> None:
    root = write_site(tmp_path, lesions=False)
    moved = oblique_affine()
    moved[0, 3] += 5  # neither place nor compression tell two copies apart
    put(Volume(stripped_brain(seed=0).data, moved), image_path(root, "sub-02", "FLAIR"))
    put(Volume(stripped_brain(seed=11).data, moved), image_path(root, "sub-02", "T1w"))
    findings = survey(root, task=Task(modalities=("FLAIR", "T1w")), thorough=True).findings
    (finding,) = [finding for finding in findings if finding.code == "duplicate"]
    assert (finding.level, finding.subject) == ("warning", "sub-02")
    assert finding.text == "FLAIR holds the very voxels of sub-01 FLAIR"


def test_two_modalities_of_one_file_are_reported() -> None:
    same = stripped_brain()
    digests = list(case_digests(opened(FLAIR=same, T1w=Volume(same.data.copy(), same.affine))))
    (finding,) = same_voxels(digests)
    assert finding.text == "T1w holds the very voxels of sub-01_ses-02 FLAIR"


def test_equal_lesion_masks_are_reported_and_empty_ones_are_not(tmp_path: Path) -> None:
    root = write_site(tmp_path)
    findings = survey(root, task=Task(modalities=("FLAIR", "T1w")), thorough=True).findings
    assert [f.text for f in findings if f.code == "duplicate"] == [
        "lesion mask holds the very voxels of sub-01 lesion mask"
    ]
    for subject in ("sub-01", "sub-02"):
        empty = Volume(np.zeros(SHAPE, np.uint8), oblique_affine())
        put(empty, mask_path(root, subject, "lesion"))
    findings = survey(root, task=Task(modalities=("FLAIR", "T1w")), thorough=True).findings
    assert not [finding for finding in findings if finding.code == "duplicate"]


def test_the_same_numbers_in_another_shape_are_another_image() -> None:
    a = Volume(np.arange(24, dtype=np.float32).reshape(2, 3, 4), np.eye(4))
    b = Volume(a.data.reshape(4, 3, 2), np.eye(4))
    assert not list(same_voxels(list(case_digests(opened(FLAIR=a, T1w=b, lesions=two_lesions())))))
