from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from common.errors import ConfigError
from common.imaging.brain_mask import brain_mask_of
from common.imaging.centreline import centreline_of, moved_nodes, near_centreline, read_centreline
from common.imaging.dataset.prepared import read_case
from common.imaging.grid import Grid
from common.imaging.intake.intake import survey
from common.imaging.volume import read_mask, read_volume
from common.learning.sampling.centreline_patches import centreline_points
from common.metrics.intensity_sweep import dice_by_threshold
from common.phantom.cord_consortium import drawn_cord_sites, make_cord_consortium
from common.recipe.task import Task

SPACING_MM = 2.0
TASK = Task(modalities=("T2w",))


def make(out: Path, *, n_sites: int = 2, n_subjects: int = 3, seed: int = 5) -> list[Path]:
    return make_cord_consortium(
        out, n_sites=n_sites, n_subjects=n_subjects, seed=seed, spacing_mm=SPACING_MM
    )


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return make(tmp_path_factory.mktemp("cords") / "made")


def masks_of(site: Path, label: str) -> Path:
    return site / "derivatives" / "lesions" / label / "anat"


def test_each_image_is_zero_further_than_15_mm_from_its_centreline(sites: list[Path]) -> None:
    for site, label in zip(sites, ("sub-C001", "sub-C004"), strict=True):
        image = read_volume(site / label / "anat" / f"{label}_T2w.nii.gz")
        nodes = read_centreline(masks_of(site, label) / f"{label}_desc-centreline.tsv")
        near = near_centreline(nodes, Grid.of(image), radius_mm=15.0).data
        # the table has three decimals, so that a voxel may lie on the border
        assert np.count_nonzero((image.data != 0) != near) <= 3


def test_the_centreline_runs_in_the_middle_of_the_cord(sites: list[Path]) -> None:
    mask = read_mask(masks_of(sites[0], "sub-C001") / "sub-C001_desc-cord_mask.nii.gz")
    nodes = read_centreline(masks_of(sites[0], "sub-C001") / "sub-C001_desc-centreline.tsv")
    off = [
        np.hypot(x - np.interp(z, nodes[:, 2], nodes[:, 0]), y - np.interp(z, *nodes[:, [2, 1]].T))
        for x, y, z in centreline_of(mask)
    ]
    assert len(off) == 64
    assert max(off) < SPACING_MM / 2
    assert np.mean(off) < SPACING_MM / 4
    # cross-section in mm2, of 2 x 2 mm pixels: a neck has about 75, a chest 45 to 55
    area = 4.0 * mask.data.sum(axis=(0, 1))
    assert 35 <= area.min() <= area.max() <= 110


def test_the_region_of_the_prepared_image_leads_back_to_the_centreline(sites: list[Path]) -> None:
    image = read_volume(sites[1] / "sub-C004" / "anat" / "sub-C004_T2w.nii.gz")
    nodes = read_centreline(masks_of(sites[1], "sub-C004") / "sub-C004_desc-centreline.tsv")
    points = moved_nodes(
        image.affine, centreline_points(brain_mask_of([image]).data).astype(np.float64)
    )
    assert len(points) == 64
    for x, y, z in points:
        at = [np.interp(z, nodes[:, 2], nodes[:, axis]) for axis in (0, 1)]
        assert np.hypot(x - at[0], y - at[1]) < 1.5 * SPACING_MM


def test_every_case_is_usable_and_its_lesions_lie_in_the_cord(sites: list[Path]) -> None:
    for site in sites:
        intake = survey(site, task=TASK, thorough=True)
        assert [case.subject for case in intake.usable] == sorted(
            path.name for path in site.glob("sub-*")
        )
        assert {finding.code for finding in intake.findings} == {"brain-mask-made", "no-lesions"}
        for case in intake.usable:
            images = read_case(case)
            assert images.lesions is not None
            assert case.cord_mask is not None
            cord = read_mask(case.cord_mask).data
            assert not (images.lesions.data & ~cord).any()
            assert not (cord & ~images.brain.data).any()


def test_every_third_subject_is_free_of_lesions_and_has_an_empty_mask(sites: list[Path]) -> None:
    for site in sites:
        with (site / "participants.tsv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        assert [row["diagnosis"] for row in rows] == ["MS-RR", "MS-RR", "healthy"]
        for row in rows:
            label = row["participant_id"]
            lesions = read_mask(masks_of(site, label) / f"{label}_desc-lesion_mask.nii.gz").data
            assert lesions.any() == (row["diagnosis"] == "MS-RR")
            # 2 mm voxels hold 0.008 mL
            assert float(row["lesion_ml"]) == pytest.approx(0.008 * lesions.sum(), abs=6e-4)


def test_no_single_threshold_finds_the_lesions(sites: list[Path]) -> None:
    for site in sites:
        for case in survey(site, task=TASK).usable:
            images = read_case(case)
            assert images.lesions is not None
            if images.lesions.data.any():
                image = images.images["T2w"].data.astype(np.float32)
                thresholds = np.linspace(0, image.max(), 200).tolist()
                dice = dice_by_threshold(image, images.brain.data, images.lesions.data, thresholds)
                assert dice.max() < 0.45


def test_sidecar_says_how_the_sites_differ(sites: list[Path]) -> None:
    one, other = (json.loads((site / "phantom.json").read_text(encoding="utf-8")) for site in sites)
    for key in ("levels", "lesion", "gamma", "gain", "bias_field", "noise", "slice_mm", "flow"):
        assert one["scanner"][key] != other["scanner"][key]
    assert one["lesions"] != other["lesions"]


def test_of_three_sites_one_scans_axial_slices() -> None:
    for seed in range(3):
        axes = [site.scanner.slice_axis for site in drawn_cord_sites(3, seed)]
        assert sorted(axes) == [0, 0, 2]


def test_the_same_seed_gives_the_same_files_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("one", 4), ("again", 4), ("other", 6)):
        make(tmp_path / name, n_sites=1, n_subjects=1, seed=seed)
    assert digests(tmp_path / "one") == digests(tmp_path / "again")
    image = "site-1/sub-C001/anat/sub-C001_T2w.nii.gz"
    assert digests(tmp_path / "one")[image] != digests(tmp_path / "other")[image]


def test_nothing_is_left_behind_when_making_fails(tmp_path: Path) -> None:
    def stop(site: str, label: str) -> None:
        assert (site, label) == ("site-1", "sub-C001")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_cord_consortium(
            tmp_path / "out",
            n_sites=1,
            n_subjects=1,
            seed=0,
            spacing_mm=SPACING_MM,
            on_subject=stop,
        )
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="want a new or empty folder, found"):
        make(tmp_path)


def test_numbers_that_make_no_consortium_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least 1 site and 1 subject a site, got 0 and 3"):
        make(tmp_path / "out", n_sites=0)
    with pytest.raises(ConfigError, match=r"want 0\.5 to 2 mm, got 4\.0"):
        make_cord_consortium(tmp_path / "out", n_sites=1, n_subjects=1, seed=0, spacing_mm=4.0)
