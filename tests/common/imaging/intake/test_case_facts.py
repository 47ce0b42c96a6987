from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.imaging.intake.case_facts import case_facts
from common.imaging.volume import Volume
from tests.opened import opened
from tests.volumes import oblique_affine, put, two_lesions


def test_facts_are_those_of_the_files(tmp_path: Path) -> None:
    image = Volume(np.full((4, 5, 6), 7, np.int16), oblique_affine((0.5, 2.0, 3.0)))
    image.data[0, 0, 0] = -2
    lesions = two_lesions()
    lesions.data[8, 8, 4:6] = 4
    case = opened(root=tmp_path, lesions=lesions, FLAIR=image)
    put(image, case.files.images["FLAIR"])
    facts = case_facts(case)
    assert facts.name == "sub-01_ses-02"
    (flair,) = facts.images
    assert (flair.file, flair.shape, flair.orientation) == ("FLAIR.nii.gz", (4, 5, 6), "RAS")
    assert flair.spacing_mm == pytest.approx((0.5, 2.0, 3.0))
    assert (flair.data_type, flair.low, flair.high) == ("int16", -2.0, 7.0)
    assert facts.lesions is not None
    assert (facts.lesions.n_lesions, facts.lesions.labels) == (2, (1, 4))
    assert facts.lesions.volume_ml == pytest.approx(0.03)  # 8 voxels of 3.75 mm3


def test_a_component_of_3_mm3_is_no_lesion_but_counts_in_the_volume(tmp_path: Path) -> None:
    lesions = two_lesions()
    lesions.data[:] = 0
    lesions.data[1, 1, 1] = 1
    case = opened(root=tmp_path, lesions=Volume(lesions.data, oblique_affine((1.0, 1.0, 3.0))))
    facts = case_facts(case).lesions
    assert facts is not None
    assert facts.n_lesions == 0
    assert facts.volume_ml == pytest.approx(0.003)


def test_a_case_without_a_mask_has_no_lesion_facts() -> None:
    assert case_facts(opened()).lesions is None
