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


def test_patches_from_a_folder_hold_a_lesion_and_keep_its_shape(tmp_path: Path) -> None:
    mask = np.zeros((30, 20, 10), dtype=np.bool_)
    mask[3:5, 10:13, 9] = True  # 6 voxels, at the image's border
    (tmp_path / "sub-1").mkdir()
    write_volume(Volume(mask, OBLIQUE), tmp_path / "sub-1" / "new.nii.gz")
    write_volume(Volume(np.zeros_like(mask), OBLIQUE), tmp_path / "none.nii.gz")
    patches = masks_from_folder(tmp_path, patch_shape=(12, 12, 16), n=20, seed=1)
    assert patches.shape == (20, 12, 12, 16)
    n_voxels = patches.sum((1, 2, 3))
    assert n_voxels.min() >= 1
    assert n_voxels.max() == 6


def test_a_folder_without_lesions_is_refused(tmp_path: Path) -> None:
    write_volume(Volume(np.zeros((4, 5, 6), dtype=np.bool_), OBLIQUE), tmp_path / "a.nii.gz")
    with pytest.raises(SiteDataError, match="1 NIfTI files and no lesion"):
        masks_from_folder(tmp_path, patch_shape=(4, 4, 4), n=2, seed=0)
