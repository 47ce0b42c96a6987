from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from common.errors import ConfigError, SiteDataError
from common.imaging.volume import Volume, read_mask, read_volume, write_volume
from common.phantom.consortium import HEALTHY_EVERY, drawn_sites, make_consortium
from common.phantom.grid import anatomy_grid
from common.phantom.sources import lesion_share, mni_lesion_masks


def make(out: Path, *, n_sites: int = 2, n_subjects: int = 1, seed: int = 3) -> list[Path]:
    return make_consortium(out, n_sites=n_sites, n_subjects=n_subjects, seed=seed, spacing_mm=4.0)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("phantoms") / "made"
    make(out)
    return out


def test_each_site_is_a_bids_dataset_with_images_and_masks_on_one_grid(consortium: Path) -> None:
    for site, label in (("site-1", "sub-P001"), ("site-2", "sub-P002")):
        images = consortium / site / label / "anat"
        masks = consortium / site / "derivatives" / "lesions" / label / "anat"
        flair = read_volume(images / f"{label}_FLAIR.nii.gz")
        t1w = read_volume(images / f"{label}_T1w.nii.gz")
        lesion = read_mask(masks / f"{label}_desc-lesion_mask.nii.gz")
        brain = read_mask(masks / f"{label}_desc-brain_mask.nii.gz")
        for other in (t1w, lesion, brain):
            assert other.data.shape == flair.data.shape
            np.testing.assert_array_equal(other.affine, flair.affine)
        np.testing.assert_array_equal(flair.data > 0, brain.data)
        assert lesion.data.any()
        for folder, kind in ((consortium / site, "raw"), (masks.parents[1], "derivative")):
            text = (folder / "dataset_description.json").read_text(encoding="utf-8")
            assert json.loads(text)["DatasetType"] == kind


def test_participants_table_counts_what_the_mask_holds(consortium: Path) -> None:
    site = consortium / "site-1"
    with (site / "participants.tsv").open(encoding="utf-8") as file:
        (row,) = csv.DictReader(file, delimiter="\t")
    lesion = read_mask(site / "derivatives/lesions/sub-P001/anat/sub-P001_desc-lesion_mask.nii.gz")
    assert row["participant_id"] == "sub-P001"
    assert row["diagnosis"] == "MS-RR"
    # 4 mm voxels hold 0.064 mL
    assert float(row["lesion_ml"]) == pytest.approx(0.064 * lesion.data.sum(), abs=0.006)


def test_sidecar_says_how_the_sites_differ(consortium: Path) -> None:
    one, other = (
        json.loads((consortium / site / "phantom.json").read_text(encoding="utf-8"))
        for site in ("site-1", "site-2")
    )
    assert one["seed"] == other["seed"] == 3
    for key in ("gamma", "gain", "bias_field", "noise", "in_plane_mm", "slice_mm"):
        assert one["scanner"]["flair"][key] != other["scanner"]["flair"][key]
    assert one["scanner"]["flair"]["contrast"] != other["scanner"]["flair"]["contrast"]
    assert one["lesions"]["load_ml"] != other["lesions"]["load_ml"]


def test_the_same_seed_gives_the_same_files_and_another_seed_others(
    consortium: Path, tmp_path: Path
) -> None:
    make(tmp_path / "again")
    assert digests(tmp_path / "again") == digests(consortium)
    make(tmp_path / "other", n_sites=1, seed=4)
    other = digests(tmp_path / "other")["site-1/sub-P001/anat/sub-P001_FLAIR.nii.gz"]
    assert other != digests(consortium)["site-1/sub-P001/anat/sub-P001_FLAIR.nii.gz"]


def test_every_eighth_subject_of_a_site_is_healthy(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []
    make_consortium(
        tmp_path / "out",
        n_sites=1,
        n_subjects=HEALTHY_EVERY,
        seed=0,
        spacing_mm=4.0,
        on_subject=lambda site, label: told.append((site, label)),
    )
    with (tmp_path / "out/site-1/participants.tsv").open(encoding="utf-8") as file:
        diagnoses = [row["diagnosis"] for row in csv.DictReader(file, delimiter="\t")]
    assert diagnoses == ["MS-RR"] * 7 + ["healthy"]
    assert told == [("site-1", f"sub-P{n:03d}") for n in range(1, 9)]


def test_folder_with_something_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="want a new or empty folder, found"):
        make(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_nothing_is_left_behind_when_making_fails(tmp_path: Path) -> None:
    def stop(site: str, label: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_consortium(
            tmp_path / "out", n_sites=1, n_subjects=1, seed=0, spacing_mm=4.0, on_subject=stop
        )
    assert list(tmp_path.iterdir()) == []


def test_a_consortium_without_sites_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least 1 site and 1 subject a site, got 0 and 1"):
        make(tmp_path / "out", n_sites=0)


def test_folder_without_masks_on_the_mni_grid_is_refused(tmp_path: Path) -> None:
    small = Volume(np.ones((4, 5, 6), dtype=np.uint8), np.diag([1.0, 2.0, 3.0, 1.0]))
    write_volume(small, tmp_path / "native.nii.gz")
    with pytest.raises(SiteDataError, match="found none among 1 NIfTI files"):
        mni_lesion_masks(tmp_path)


def test_empty_folder_of_anatomies_is_refused(tmp_path: Path) -> None:
    (tmp_path / "maps").mkdir()
    with pytest.raises(SiteDataError, match=r"maps: want NIfTI files .* found none"):
        make_consortium(
            tmp_path / "out",
            n_sites=1,
            n_subjects=1,
            seed=0,
            spacing_mm=4.0,
            anatomies=tmp_path / "maps",
        )


@pytest.mark.parametrize("mirrored", [False, True])
def test_mask_stored_from_right_to_left_lands_on_its_side(tmp_path: Path, mirrored: bool) -> None:
    data = np.zeros((182, 218, 182), dtype=np.uint8)
    data[40:60, 90:110, 80:100] = 1
    data[0, 0, 0] = 1
    affine = np.array([[-1.0, 0, 0, 90], [0, 1, 0, -126], [0, 0, 1, -72], [0, 0, 0, 1]])
    path = tmp_path / "mask.nii.gz"
    write_volume(Volume(data, affine), path)
    assert mni_lesion_masks(tmp_path) == [path]
    grid = anatomy_grid(4.0)
    share = lesion_share(path, grid, mirrored=mirrored)
    x, _, _ = grid.coordinates_mm()
    centre_x = float((share * x).sum() / share.sum())
    # i = 40 to 59 lies at x = 90 - i, 31 to 50 on the right: 40.5 in the middle
    assert centre_x == pytest.approx(-40.5 if mirrored else 40.5, abs=1.1)
    # 20^3 mm3 whatever the grid
    assert float(share.sum()) * 27.0 == pytest.approx(8000.0, rel=0.02)


def test_sites_differ_in_their_patients() -> None:
    loads = [site.habit.load_ml for site in drawn_sites(4, 0)]
    assert len(set(loads)) == 4
    assert [site.name for site in drawn_sites(2, 0)] == ["site-1", "site-2"]
