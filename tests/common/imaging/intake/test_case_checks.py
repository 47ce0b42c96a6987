from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from common.imaging.intake.bids import CaseFiles
from common.imaging.intake.case_checks import (
    CHECKS,
    brain_is_known,
    images_show_something,
    lesion_labels_are_plain,
    lesions_lie_in_the_brain,
    masks_lie_on_the_images,
    modalities_share_a_grid,
)
from common.imaging.intake.findings import Finding
from common.imaging.intake.usable_case import OpenCase, open_case
from common.imaging.volume import Volume
from tests.volumes import (
    SHAPE,
    brain_mask,
    head_in_noise,
    image_path,
    oblique_affine,
    put,
    stripped_brain,
    two_lesions,
    write_site,
)


def case(
    *,
    flair: Volume | None = None,
    t1w: Volume | None = None,
    lesions: Volume | None = None,
    brain: Volume | None = None,
) -> OpenCase:
    """Two stripped brains and no mask, unless said otherwise."""
    root = Path("/site")
    images = {"FLAIR": flair or stripped_brain(seed=1), "T1w": t1w or stripped_brain(seed=2)}
    files = CaseFiles(
        subject="sub-01",
        session="ses-02",
        images={name: root / f"{name}.nii.gz" for name in images},
        lesion_mask=None if lesions is None else root / "lesions.nii.gz",
        brain_mask=None if brain is None else root / "brain.nii.gz",
        diagnosis=None,
    )
    return OpenCase(root=root, files=files, images=images, lesions=lesions, brain=brain)


def moved(volume: Volume, offset_mm: float) -> Volume:
    affine = volume.affine.copy()
    affine[0, 3] += offset_mm
    return Volume(volume.data, affine)


def only(findings: list[Finding]) -> Finding:
    (finding,) = findings
    assert (finding.subject, finding.session) == ("sub-01", "ses-02")
    return finding


def test_a_good_case_with_both_masks_gives_rise_to_nothing() -> None:
    good = case(lesions=two_lesions(), brain=brain_mask())
    assert [finding for check in CHECKS for finding in check(good)] == []


def test_a_modality_on_another_grid_blocks_and_both_grids_are_printed() -> None:
    finding = only(list(modalities_share_a_grid(case(t1w=moved(stripped_brain(), 2.5)))))
    assert (finding.level, finding.code) == ("blocking", "image-grid")
    assert "T1w lies on another grid than FLAIR, corners up to 2.5 mm apart" in finding.text
    assert finding.text.count("shape (12, 14, 8), spacing 1.000 x 1.250 x 3.000 mm") == 2
    assert "Register it rigidly to the FLAIR" in finding.fix


def test_a_grid_that_differs_by_rounding_is_the_same() -> None:
    assert not list(modalities_share_a_grid(case(t1w=moved(stripped_brain(), 5e-4))))


@pytest.mark.parametrize(
    ("opened", "name"),
    [
        (case(lesions=moved(two_lesions(), 1.0)), "lesion mask"),
        (case(brain=moved(brain_mask(), 1.0)), "brain mask"),
    ],
)
def test_a_mask_on_another_grid_blocks(opened: OpenCase, name: str) -> None:
    finding = only(list(masks_lie_on_the_images(opened)))
    assert (finding.level, finding.code) == ("blocking", "mask-grid")
    assert finding.text.startswith(f"{name} lies on another grid than FLAIR, corners up to 1 mm")
    assert "nearest neighbour" in finding.fix


def test_an_image_of_one_value_blocks() -> None:
    flat = Volume(np.full(SHAPE, 7, np.float32), oblique_affine())
    finding = only(list(images_show_something(case(flair=flat))))
    assert (finding.level, finding.text) == ("blocking", "FLAIR holds nothing but 7")


def test_several_labels_are_a_warning_that_lists_them() -> None:
    lesions = two_lesions()
    lesions.data[8, 8, 4:6] = 4
    finding = only(list(lesion_labels_are_plain(case(lesions=lesions))))
    assert finding.level == "warning"
    assert "found 2 (1, 4); every voxel above 0 counts as lesion" in finding.text


def test_one_label_of_255_is_fine() -> None:
    lesions = Volume(two_lesions().data * 255, oblique_affine())
    assert not list(lesion_labels_are_plain(case(lesions=lesions)))


def test_an_empty_lesion_mask_is_a_note() -> None:
    empty = Volume(np.zeros(SHAPE, np.uint8), oblique_affine())
    finding = only(list(lesion_labels_are_plain(case(lesions=empty))))
    assert (finding.level, finding.code) == ("note", "no-lesions")


def test_a_stripped_image_without_a_brain_mask_is_a_note() -> None:
    finding = only(list(brain_is_known(case(t1w=head_in_noise()))))
    assert (finding.level, finding.code) == ("note", "brain-mask-made")
    assert "(FLAIR): one is made" in finding.text


def test_a_head_without_a_brain_mask_blocks() -> None:
    finding = only(list(brain_is_known(case(flair=head_in_noise(), t1w=head_in_noise()))))
    assert (finding.level, finding.code) == ("blocking", "not-stripped")
    assert finding.fix.startswith("Strip the images")


def test_a_head_with_a_brain_mask_is_fine() -> None:
    opened = case(flair=head_in_noise(), t1w=head_in_noise(), brain=brain_mask())
    assert not list(brain_is_known(opened))


def test_an_empty_brain_mask_blocks() -> None:
    empty = Volume(np.zeros(SHAPE, np.uint8), oblique_affine())
    finding = only(list(brain_is_known(case(brain=empty))))
    assert (finding.level, finding.code) == ("blocking", "zero-brain")


def test_a_brain_mask_over_zeros_blocks() -> None:
    corner = Volume(np.zeros(SHAPE, np.uint8), oblique_affine())
    corner.data[0, 0, :] = 1  # outside the ellipsoid, where both images are 0
    texts = [finding.text for finding in brain_is_known(case(brain=corner))]
    assert texts == [
        "FLAIR has one value throughout the brain mask",
        "T1w has one value throughout the brain mask",
    ]


@pytest.mark.parametrize(
    ("n_outside", "level"),
    [
        pytest.param(1, "note", id="1 of 101 voxels: under 1 %"),
        pytest.param(2, "warning", id="2 of 102 voxels"),
    ],
)
def test_lesions_outside_the_brain_are_counted(n_outside: int, level: str) -> None:
    brain = Volume(np.zeros(SHAPE, np.uint8), oblique_affine())
    brain.data[1:11, 1:11, 3] = 1
    lesions = Volume(brain.data.copy(), oblique_affine())
    lesions.data[0, :n_outside, 0] = 1
    finding = only(list(lesions_lie_in_the_brain(case(lesions=lesions, brain=brain))))
    assert finding.level == level
    assert f"{n_outside} of {100 + n_outside} lesion voxels lie outside" in finding.text


def with_a_nan(path: Path) -> None:
    image = stripped_brain()
    image.data[5, 6, 3] = np.nan
    put(image, path)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:300])


@pytest.mark.parametrize(
    ("spoil", "code", "message"),
    [
        (with_a_nan, "not-finite", "found 1 NaN or infinite voxels"),
        (cut_short, "truncated", "truncated"),
        (Path.unlink, "missing", "no such file"),
        (lambda path: path.write_bytes(b"text"), "unreadable", "found another format"),
    ],
)
def test_a_file_that_cannot_be_used_blocks_and_the_others_are_still_opened(
    tmp_path: Path, spoil: Callable[[Path], object], code: str, message: str
) -> None:
    root = write_site(tmp_path, subjects=["sub-01"], sessions=["ses-02"])
    paths = {name: image_path(root, "sub-01", name, "ses-02") for name in ("FLAIR", "T1w")}
    spoil(paths["FLAIR"])
    files = CaseFiles(
        subject="sub-01",
        session="ses-02",
        images=paths,
        lesion_mask=None,
        brain_mask=None,
        diagnosis=None,
    )
    opened, findings = open_case(root, files)
    assert list(opened.images) == ["T1w"]
    finding = only(findings)
    assert (finding.level, finding.code) == ("blocking", code)
    assert finding.text.startswith("sub-01/ses-02/anat/sub-01_ses-02_FLAIR.nii.gz: ")
    assert message in finding.text
    assert finding.fix.endswith(".")
