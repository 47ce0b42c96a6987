from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.imaging.intake.left_right import no_modality_is_mirrored
from common.imaging.orientation import orientation_of
from common.imaging.volume import Volume, read_volume
from tests.heads import head
from tests.opened import only, opened

SITES = Path(__file__).parents[4] / ".." / "shared" / "data" / "sites"


def turned_about_the_axis_upwards(image: Volume, degrees: float) -> Volume:
    turn, angle = np.eye(4), np.deg2rad(degrees)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return Volume(image.data, turn @ image.affine)


def test_modalities_that_agree_are_left_alone() -> None:
    assert not list(no_modality_is_mirrored(opened(FLAIR=head(), T1w=head(contrast=-1.0))))


def test_a_mirrored_modality_is_reported_whatever_its_contrast() -> None:
    case = opened(FLAIR=head(), T1w=head(), T2w=head(contrast=-0.9, mirrored=True))
    finding = only(list(no_modality_is_mirrored(case)))
    assert (finding.level, finding.code) == ("warning", "left-right")
    assert finding.text.startswith("T2w fits FLAIR better when left and right are exchanged")
    assert "a heuristic" in finding.text


def test_two_mirrored_modalities_agree() -> None:
    case = opened(FLAIR=head(mirrored=True), T1w=head(contrast=-1.0, mirrored=True))
    assert not list(no_modality_is_mirrored(case))


def test_the_other_storage_order_is_no_mirroring() -> None:
    image = head(contrast=-1.0)
    reverse = np.diag([-1.0, 1, 1, 1])
    reverse[0, 3] = image.data.shape[0] - 1
    same_place = Volume(image.data[::-1].copy(), image.affine @ reverse)
    assert orientation_of(same_place) == "LAS"
    assert not list(no_modality_is_mirrored(opened(FLAIR=head(), T1w=same_place)))


def test_a_mirrored_oblique_image_is_reported() -> None:
    case = opened(
        FLAIR=turned_about_the_axis_upwards(head(), 12),
        T1w=turned_about_the_axis_upwards(head(contrast=-1.0, mirrored=True), 12),
    )
    assert only(list(no_modality_is_mirrored(case))).code == "left-right"


def test_a_flat_image_is_left_alone() -> None:
    flat = Volume(np.ones((6, 6, 6), np.float32), np.eye(4))
    assert not list(no_modality_is_mirrored(opened(FLAIR=flat, T1w=flat)))


@pytest.mark.slow
@pytest.mark.skipif(not SITES.is_dir(), reason="the shared images are not on this machine")
@pytest.mark.parametrize(
    "stem",
    [
        "tcga-fg/sub-TCFG6692/anat/sub-TCFG6692",
        "catania/sub-CT39/anat/sub-CT39",
        "ljubljana-long/sub-LJLG01/ses-01/anat/sub-LJLG01_ses-01",
        "ljubljana-long/sub-LJLG19/ses-02/anat/sub-LJLG19_ses-02",
        "south-carolina/sub-SC01/anat/sub-SC01",
    ],
)
def test_real_images_are_reported_only_when_one_is_mirrored(stem: str) -> None:
    flair, t1w = (read_volume(SITES / f"{stem}_{name}.nii.gz") for name in ("FLAIR", "T1w"))
    assert not list(no_modality_is_mirrored(opened(FLAIR=flair, T1w=t1w)))
    axis = next(n for n, code in enumerate(orientation_of(t1w)) if code in "LR")
    mirrored = Volume(np.flip(t1w.data, axis), t1w.affine)
    assert list(no_modality_is_mirrored(opened(FLAIR=flair, T1w=mirrored)))
