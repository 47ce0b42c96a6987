from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from common.errors import SiteDataError
from common.imaging.volume import Volume, write_volume
from common.learning.lesion_wise.lesion_masks import masks_from_folder, synthetic_masks

OBLIQUE = np.array(
    [[0.9, -0.2, 0.1, -20.0], [0.2, 0.9, -0.3, 5.0], [0.0, 0.2, 3.0, 9.0], [0, 0, 0, 1]]
)


def test_synthetic_masks_hold_no_lesion_up_to_twelve_and_few_are_tiny() -> None:
    masks = synthetic_masks(60, patch_shape=(32, 36, 40), seed=4)
    assert masks.shape == (60, 32, 36, 40)
    counts: list[int] = []
    sizes: list[int] = []
    for mask in masks:
        labels, n = ndimage.label(mask, np.ones((3, 3, 3)))
        counts.append(n)
        sizes.extend(np.bincount(labels.ravel())[1:])
    assert min(counts) == 0
    assert 8 <= max(counts) <= 14  # a ragged border may leave a crumb of a lesion
    assert 30 <= np.median(sizes) <= 90  # drawn around 60; cut at the border, joined by chance
    assert max(sizes) > 300


def test_the_same_seed_gives_the_same_masks_and_another_seed_others() -> None:
    one, same, other = (synthetic_masks(3, patch_shape=(16, 20, 24), seed=s) for s in (5, 5, 6))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def put(folder: Path, name: str, n_voxels: int) -> None:
    """A mask with one lesion, a row of so many voxels along the first axis, at the border of k."""
    mask = np.zeros((30, 20, 10), dtype=np.bool_)
    mask[3 : 3 + n_voxels, 10, 9] = True
    write_volume(Volume(mask, OBLIQUE), folder / f"{name}.nii.gz")


def test_patches_from_a_folder_hold_a_lesion_and_keep_its_shape(tmp_path: Path) -> None:
    (tmp_path / "sub-1").mkdir()
    for name in ("sub-1/new", "other"):
        put(tmp_path, name, 6)
    put(tmp_path, "none", 0)
    ours, others = masks_from_folder(
        tmp_path, patch_shape=(12, 12, 16), n=20, n_held_out=10, seed=1
    )
    assert ours.shape == (20, 12, 12, 16)
    assert others.shape == (10, 12, 12, 16)
    for patches in (ours, others):
        n_voxels = patches.sum((1, 2, 3))
        assert n_voxels.min() >= 1
        assert n_voxels.max() == 6


@pytest.mark.parametrize("seed", range(5))
def test_what_is_learned_from_and_what_is_judged_on_come_from_other_subjects(
    tmp_path: Path, seed: int
) -> None:
    """20 subjects with two raters each: subject n's rows are 2 n and 2 n + 1 voxels; patches are
    large enough to hold a row, so the longest that is seen tells whose it is. A tenth is two."""
    for n in range(1, 21):
        for rater in (0, 1):
            mask = np.zeros((90, 4, 5), dtype=np.bool_)
            mask[20 : 20 + 2 * n + rater, 2, 2] = True
            name = f"sub-{n:02d}_desc-newlesionRater{rater + 1}_mask.nii.gz"
            write_volume(Volume(mask, OBLIQUE), tmp_path / name)
    parts = masks_from_folder(tmp_path, patch_shape=(180, 4, 5), n=360, n_held_out=40, seed=seed)
    # mask m of a part is cut into patches m, m + 36, .. (36 masks) or m, m + 4, .. (4 masks)
    subjects = []
    for patches, n_masks in zip(parts, (36, 4), strict=True):
        rows = patches.sum((1, 2, 3)).reshape(-1, n_masks).max(0)
        subjects.append({int(row) // 2 for row in rows})
    ours, others = subjects
    assert len(others) == 2
    assert not ours & others


def test_a_folder_of_one_subject_is_refused(tmp_path: Path) -> None:
    for name in ("sub-01_ses-01_mask", "sub-01_ses-02_mask"):
        put(tmp_path, name, 5)
    with pytest.raises(SiteDataError, match=r"at least two subjects, .* of sub-01 alone\. Add"):
        masks_from_folder(tmp_path, patch_shape=(4, 4, 4), n=2, n_held_out=1, seed=0)


def test_a_folder_without_lesions_is_refused(tmp_path: Path) -> None:
    write_volume(Volume(np.zeros((4, 5, 6), dtype=np.bool_), OBLIQUE), tmp_path / "a.nii.gz")
    with pytest.raises(SiteDataError, match="1 NIfTI files and no lesion"):
        masks_from_folder(tmp_path, patch_shape=(4, 4, 4), n=2, n_held_out=1, seed=0)
