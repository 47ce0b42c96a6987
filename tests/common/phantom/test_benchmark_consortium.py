from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.errors import ConfigError
from common.imaging.volume import Volume, read_labels, read_mask, write_volume
from common.phantom.benchmark_consortium import TABLE, assigned_sources, make_benchmark
from common.phantom.benchmark_sites import ROLES
from common.phantom.sources import mask_record, mni_lesion_masks


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("benchmark") / "made"
    make_benchmark(out, n_subjects=1, seed=0, spacing_mm=4.0)
    return out


@pytest.fixture(scope="module")
def masks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve masks named patient01 to patient12, each a block of its own size."""
    folder = tmp_path_factory.mktemp("masks")
    affine = np.array([[1.0, 0, 0, -90], [0, 1, 0, -126], [0, 0, 1, -72], [0, 0, 0, 1]])
    for number in range(1, 13):
        data = np.zeros((182, 218, 182), dtype=np.uint8)
        data[60:80, 90 : 100 + number, 80:100] = 1
        write_volume(Volume(data, affine), folder / f"patient{number:02d}_lesion.nii.gz")
    return folder


def table(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / TABLE).read_text(encoding="utf-8"))
    return read


def test_nine_site_folders_and_a_table_of_what_each_is(made: Path) -> None:
    assert {path.name for path in made.iterdir()} == {*ROLES, TABLE}
    sites = table(made)["sites"]
    assert {site["name"]: site["role"] for site in sites} == ROLES
    for site in sites:
        ((label, load_ml),) = site["subjects"].items()
        mask = made / site["name"] / f"derivatives/lesions/{label}/anat/{label}_desc-lesion_mask"
        lesion = read_mask(mask.with_name(f"{mask.name}.nii.gz"))
        # 4 mm voxels hold 0.064 mL
        assert load_ml == pytest.approx(0.064 * lesion.data.sum(), abs=0.006)
        assert site["anatomies"] == []
        assert site["lesion_masks"] == {}


def test_heavy_site_has_tens_of_millilitres(made: Path) -> None:
    (load_ml,) = table(made)["sites"][-1]["subjects"].values()
    assert load_ml > 25.0


def test_the_same_seed_gives_the_same_images(made: Path, tmp_path: Path) -> None:
    make_benchmark(tmp_path / "again", n_subjects=1, seed=0, spacing_mm=4.0)
    for path in sorted(made.rglob("*.nii.gz")):
        again = tmp_path / "again" / path.relative_to(made)
        assert again.read_bytes() == path.read_bytes()


def test_copies_of_one_label_map_are_one_anatomy(masks: Path, tmp_path: Path) -> None:
    for path in masks.iterdir():
        if path.name < "patient10":
            shutil.copy(path, tmp_path / path.name)
    one = read_labels(masks / "patient01_lesion.nii.gz")
    write_volume(Volume(one.data.astype(np.int16), one.affine), tmp_path / "again.nii")
    (tmp_path / "patient02_lesion.nii.gz").unlink()
    with pytest.raises(ConfigError, match=r"want at least 9 label maps, .* found 8"):
        assigned_sources(tmp_path, None, without_masks=(), seed=0)


def test_no_mask_and_no_anatomy_is_at_two_sites(masks: Path) -> None:
    # any NIfTI file will do for a list of label maps
    sources = assigned_sources(masks, masks, without_masks=(), seed=0)
    for files in ([s.lesion_masks for s in sources], [s.anatomies for s in sources]):
        assigned = [path for own in files for path in own]
        assert len(assigned) == len(set(assigned)) == 12
        assert all(own for own in files)


def test_masks_of_judged_patients_are_left_out_by_number_or_by_pattern(masks: Path) -> None:
    judged = {hashlib.sha256((masks / f"patient{n}_lesion.nii.gz").read_bytes()).hexdigest()
              for n in ("07", "11")}  # fmt: skip
    for without in (["07", "11"], ["patient07*", "11"]):
        sources = assigned_sources(None, masks, without_masks=without, seed=0)
        used = [path for own in sources for path in own.lesion_masks]
        assert len(used) == 10
        assert not judged & {hashlib.sha256(path.read_bytes()).hexdigest() for path in used}


def test_copy_of_a_mask_that_is_left_out_is_left_out_under_any_name(
    masks: Path, tmp_path: Path
) -> None:
    for path in masks.iterdir():
        shutil.copy(path, tmp_path / path.name)
    volume = read_labels(masks / "patient07_lesion.nii.gz")
    write_volume(Volume(volume.data.astype(np.int16), volume.affine), tmp_path / "copy.nii.gz")
    kept = mni_lesion_masks(tmp_path, without=["07"])
    assert [path.name for path in kept] == [
        f"patient{n:02d}_lesion.nii.gz" for n in range(1, 13) if n != 7
    ]
    # without the word it is one mask under two names, and used once
    assert len(mni_lesion_masks(tmp_path)) == 12


@pytest.mark.parametrize("word", ["7", "99", "patient07", ""])
def test_mask_to_leave_out_that_is_not_there_is_refused(masks: Path, word: str) -> None:
    with pytest.raises(ConfigError, match="masks to leave out: no mask on the MNI152 grid"):
        mni_lesion_masks(masks, without=["07", word])


def test_a_path_that_leaves_nothing_out_is_said(
    masks: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    volume = read_labels(masks / "patient07_lesion.nii.gz")
    write_volume(volume, tmp_path / "same.nii.gz")
    write_volume(Volume(volume.data[:-1], volume.affine), tmp_path / "other-grid.nii.gz")
    same, other = (str(tmp_path / name) for name in ("same.nii.gz", "other-grid.nii.gz"))
    assert len(mni_lesion_masks(masks, without=[same])) == 11
    assert not [r for r in caplog.records if r.levelname == "WARNING"]
    assert len(mni_lesion_masks(masks, without=[other])) == 12
    assert f"{other}: no mask in {masks} has these voxels" in caplog.text


def test_a_number_counts_beside_a_folder_of_that_name(
    masks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "07").mkdir()
    shutil.copy(masks / "patient03_lesion.nii.gz", tmp_path / "07")
    monkeypatch.chdir(tmp_path)
    kept = {path.name[7:9] for path in mni_lesion_masks(masks, without=["./07", "07"])}
    assert kept == {f"{n:02d}" for n in range(1, 13)} - {"03", "07"}


def test_masks_to_leave_out_without_a_folder_of_masks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="without a folder of lesion masks"):
        make_benchmark(tmp_path / "out", n_subjects=1, seed=0, without_masks=["07"])


def test_a_mask_in_the_table_is_recognized_in_another_storage(masks: Path, tmp_path: Path) -> None:
    mask = masks / "patient07_lesion.nii.gz"
    volume = read_labels(mask)
    turned = volume.affine.copy()
    turned[0, 3] += turned[0, 0] * (volume.data.shape[0] - 1)
    turned[0, 0] *= -1
    write_volume(Volume(volume.data[::-1].astype(np.int16), turned), tmp_path / "again.nii")
    record, again = mask_record(mask), mask_record(tmp_path / "again.nii")
    assert record["sha256"] != again["sha256"]
    assert set(record["voxels"]) & set(again["voxels"])


def test_folder_with_too_few_masks_for_nine_sites_is_refused(masks: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"want at least 9 lesion masks, so that no two .* found 8"
    ):
        assigned_sources(None, masks, without_masks=["01", "02", "03", "04"], seed=0)
