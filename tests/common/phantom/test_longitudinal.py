from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from common.errors import ConfigError
from common.imaging.volume import read_mask, read_volume
from common.phantom.longitudinal import make_longitudinal_consortium


def make(out: Path, *, n_subjects: int = 4, n_raters: int = 2) -> list[Path]:
    return make_longitudinal_consortium(
        out, n_sites=1, n_subjects=n_subjects, seed=3, spacing_mm=4.0, n_raters=n_raters
    )


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("longitudinal") / "made")[0]


def rows_of(site: Path) -> list[dict[str, str]]:
    with (site / "participants.tsv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_both_sessions_lie_on_one_grid_with_their_masks(site: Path) -> None:
    affine, shape = None, None
    for session in ("ses-01", "ses-02"):
        stem = f"sub-P001_{session}"
        images = site / "sub-P001" / session / "anat"
        masks = site / "derivatives/lesions/sub-P001" / session / "anat"
        brain = read_mask(masks / f"{stem}_desc-brain_mask.nii.gz")
        lesion = read_mask(masks / f"{stem}_desc-lesion_mask.nii.gz")
        for suffix in ("FLAIR", "T1w"):
            image = read_volume(images / f"{stem}_{suffix}.nii.gz")
            affine = image.affine if affine is None else affine
            shape = image.data.shape if shape is None else shape
            np.testing.assert_array_equal(image.affine, affine)
            assert image.data.shape == shape
            np.testing.assert_array_equal(image.data > 0, brain.data)
        assert lesion.data.any()
        assert not np.any(lesion.data & ~brain.data)


def test_reference_and_raters_lie_with_the_later_session_alone(site: Path) -> None:
    names = sorted(path.name for path in site.glob("derivatives/**/*newlesion*.nii.gz"))
    assert len(names) == 4 * 3
    assert names[:3] == [
        "sub-P001_ses-02_desc-newlesionRater1_mask.nii.gz",
        "sub-P001_ses-02_desc-newlesionRater2_mask.nii.gz",
        "sub-P001_ses-02_desc-newlesion_mask.nii.gz",
    ]
    assert all("_ses-02_" in name for name in names)


def test_fourth_subject_has_no_new_lesion_and_the_table_counts_the_others(site: Path) -> None:
    rows = rows_of(site)
    assert [row["n_new_lesions"] == "0" for row in rows] == [False, False, False, True]
    for row in rows:
        label = row["participant_id"]
        anat = site / "derivatives/lesions" / label / "ses-02/anat"
        new = read_mask(anat / f"{label}_ses-02_desc-newlesion_mask.nii.gz").data
        lesion = read_mask(anat / f"{label}_ses-02_desc-lesion_mask.nii.gz").data
        # 4 mm voxels hold 0.064 mL
        assert float(row["new_lesion_ml"]) == pytest.approx(0.064 * new.sum(), abs=0.006)
        assert not np.any(new & ~lesion)
    columns = json.loads((site / "participants.json").read_text(encoding="utf-8"))
    assert set(columns) == set(rows[0]) - {"participant_id"}


def test_the_two_dates_are_scanned_apart(site: Path) -> None:
    one, other = (
        read_volume(site / f"sub-P004/{s}/anat/sub-P004_{s}_FLAIR.nii.gz").data.astype(float)
        for s in ("ses-01", "ses-02")
    )
    both = (one > 0) & (other > 0)
    assert 0.5 < float(np.corrcoef(one[both], other[both])[0, 1]) < 0.99


def test_the_same_seed_gives_the_same_images_and_reference_with_raters_or_without(
    site: Path, tmp_path: Path
) -> None:
    (again,) = make(tmp_path / "again", n_subjects=1, n_raters=0)
    paths = list(again.rglob("*.nii.gz"))
    # 2 images and 2 masks a session, and the reference
    assert len(paths) == 9
    for path in paths:
        same = site / path.relative_to(again)
        assert digest(path) == digest(same)


def test_a_consortium_without_subjects_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least 1 site, 1 subject a site and 0 raters, got 1"):
        make(tmp_path / "out", n_subjects=0)
