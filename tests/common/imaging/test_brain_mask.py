from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from common.errors import GeometryError, SiteDataError
from common.imaging.brain_mask import brain_mask_of, looks_stripped, mask_misfit, why_no_brain
from common.imaging.volume import Volume, read_mask, read_volume
from tests.volumes import SHAPE, brain_voxels, head_in_noise, oblique_affine, stripped_brain

SITES = Path(__file__).parents[3] / ".." / "shared" / "data" / "sites"


def cube(edge_mm: float) -> Volume:
    """10 x 10 x 10 voxels of 1 in 20 x 20 x 20 of 0."""
    data = np.zeros((20, 20, 20), np.float32)
    data[5:15, 5:15, 5:15] = 1
    return Volume(data, oblique_affine((edge_mm, edge_mm, edge_mm)))


def with_values(volume: Volume, value: float, *voxels: tuple[int, int, int]) -> Volume:
    data = volume.data.copy()
    for voxel in voxels:
        data[voxel] = value
    return Volume(data, volume.affine)


def test_a_brain_in_zeros_looks_stripped_and_one_in_noise_does_not() -> None:
    assert looks_stripped(stripped_brain())
    assert not looks_stripped(head_in_noise())


@pytest.mark.parametrize(
    ("edge_mm", "stripped"),
    [
        pytest.param(13.0, True, id="1000 voxels of 2.197 mL: 2197 mL, a brain"),
        pytest.param(14.0, False, id="1000 voxels of 2.744 mL: 2744 mL, a head"),
    ],
)
def test_what_is_larger_than_a_brain_is_a_head(edge_mm: float, stripped: bool) -> None:
    assert looks_stripped(cube(edge_mm)) is stripped


def test_one_corner_that_is_not_zero_means_not_stripped() -> None:
    assert not looks_stripped(with_values(stripped_brain(), 1, (11, 0, 7)))


def test_an_image_of_zeros_is_no_stripped_brain() -> None:
    empty = Volume(np.zeros(SHAPE, np.float32), oblique_affine())
    assert not looks_stripped(empty)
    with pytest.raises(SiteDataError, match="found neither"):
        brain_mask_of([empty])


def test_a_mask_of_ones_around_a_brain_is_its_non_zero_voxels() -> None:
    # the ellipsoid is convex, so closing, filling and choosing a component add and take nothing
    mask = brain_mask_of([stripped_brain()])
    assert mask.data.dtype == np.bool_
    np.testing.assert_array_equal(mask.data, brain_voxels())
    np.testing.assert_array_equal(mask.affine, oblique_affine())


def test_zeros_inside_the_brain_are_filled_and_a_speck_outside_is_dropped() -> None:
    image = with_values(stripped_brain(), 0, (5, 6, 3), (5, 7, 3), (6, 6, 4))
    image = with_values(image, 80, (1, 12, 1))  # 2 mm from no voxel of the ellipsoid
    np.testing.assert_array_equal(brain_mask_of([image]).data, brain_voxels())


def test_a_narrow_cleft_is_closed_and_a_wide_one_is_not() -> None:
    # both open towards the lowest i; across j, 2 voxels are 2.5 mm and 6 voxels 7.5 mm,
    # and what a ball of 2 mm cannot enter is at most 4 mm wide
    block = np.zeros((16, 16, 9), np.float32)
    block[2:14, 2:14, 1:8] = 1
    narrow, wide = block.copy(), block.copy()
    narrow[2:8, 7:9, 1:8] = 0
    wide[2:8, 5:11, 1:8] = 0
    assert brain_mask_of([Volume(narrow, oblique_affine())]).data[4:8, 7:9, 1:8].all()
    assert not brain_mask_of([Volume(wide, oblique_affine())]).data[2:6, 7:9, 1:8].any()


def test_the_brain_is_where_any_stripped_modality_is_not_zero() -> None:
    lower, upper = stripped_brain(seed=1), stripped_brain(seed=2)
    lower.data[:, :, 6:] = 0
    upper.data[:, :, :2] = 0
    np.testing.assert_array_equal(brain_mask_of([lower, upper]).data, brain_voxels())


def test_a_modality_that_is_not_stripped_adds_nothing() -> None:
    mask = brain_mask_of([head_in_noise(), stripped_brain()])
    np.testing.assert_array_equal(mask.data, brain_voxels())


def test_the_sites_own_mask_wins() -> None:
    own = Volume(brain_voxels(), oblique_affine())
    own.data[:, :, 4:] = False
    np.testing.assert_array_equal(brain_mask_of([stripped_brain()], own).data, own.data)


def test_an_own_mask_on_another_grid_or_without_a_voxel_is_refused() -> None:
    with pytest.raises(GeometryError, match="want the brain mask and the image on one grid"):
        brain_mask_of([stripped_brain()], Volume(brain_voxels(), np.eye(4)))
    empty = Volume(np.zeros(SHAPE, np.bool_), oblique_affine())
    with pytest.raises(SiteDataError, match="a mask without a voxel"):
        brain_mask_of([stripped_brain()], empty)


def test_an_own_mask_that_is_inverted_or_everywhere_is_refused() -> None:
    inverted = Volume(~brain_voxels(), oblique_affine())
    with pytest.raises(SiteDataError, match="it seems to be inverted, 1 outside the brain"):
        brain_mask_of([stripped_brain()], inverted)
    everywhere = Volume(np.ones(SHAPE, np.bool_), oblique_affine())
    with pytest.raises(SiteDataError, match="covers the whole field of view"):
        brain_mask_of([stripped_brain()], everywhere)


def test_a_mask_that_misses_one_corner_may_be_a_brain() -> None:
    tight = np.ones(SHAPE, np.bool_)
    tight[0, 0, 0] = False
    assert why_no_brain(tight) is None


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.6))
def test_a_made_mask_is_one_piece_without_holes(seed: int, zeros: float) -> None:
    image = stripped_brain(seed=seed)
    image.data[np.random.default_rng(seed).random(SHAPE) < zeros] = 0
    mask = brain_mask_of([image]).data
    assert ndimage.label(mask)[1] == 1
    np.testing.assert_array_equal(ndimage.binary_fill_holes(mask), mask)


@pytest.mark.skipif(not SITES.is_dir(), reason="the shared images are not on this machine")
@pytest.mark.parametrize(
    ("image", "stripped"),
    [
        ("ljubljana-cs/sub-LJ3T007/anat/sub-LJ3T007_FLAIR.nii.gz", True),
        ("ljubljana-cs/sub-LJ3T019/anat/sub-LJ3T019_T1w.nii.gz", True),
        ("catania/sub-CT39/anat/sub-CT39_FLAIR.nii.gz", True),
        ("isles22-philips3t/sub-TUM09/anat/sub-TUM09_FLAIR.nii.gz", True),
        ("south-carolina/sub-SC01/anat/sub-SC01_T1w.nii.gz", True),
        ("ucl/sub-UCL01/anat/sub-UCL01_FLAIR.nii.gz", False),
        ("austin/sub-UT01/anat/sub-UT01_T1w.nii.gz", False),
        ("tcga-fg/sub-TCFG6692/anat/sub-TCFG6692_FLAIR.nii.gz", False),
        ("harvard/sub-HMS01/anat/sub-HMS01_ce-gadolinium_T1w.nii.gz", False),
        ("ljubljana-long/sub-LJLG01/ses-01/anat/sub-LJLG01_ses-01_T1w.nii.gz", False),
    ],
)
def test_real_images_are_distinguished(image: str, stripped: bool) -> None:
    assert looks_stripped(read_volume(SITES / image)) is stripped


@pytest.mark.skipif(not SITES.is_dir(), reason="the shared images are not on this machine")
def test_the_mask_made_of_a_real_brain_is_nearly_the_sites_own() -> None:
    site = SITES / "ljubljana-cs"
    image = read_volume(site / "sub-LJ3T019" / "anat" / "sub-LJ3T019_FLAIR.nii.gz")
    folder = site / "derivatives" / "lesions" / "sub-LJ3T019" / "anat"
    own = read_mask(folder / "sub-LJ3T019_desc-brain_mask.nii.gz").data
    made = brain_mask_of([image]).data
    assert 2 * np.count_nonzero(own & made) / (own.sum() + made.sum()) > 0.995


def test_a_mask_that_leaves_out_a_half_or_is_half_empty_hardly_belongs_to_a_stripped_image() -> (
    None
):
    image = cube(4)  # i, j and k from 5 to 14
    half, twice, narrower = (np.zeros((20, 20, 20), np.bool_) for _ in range(3))
    half[5:10, 5:15, 5:15] = True
    twice[0:20, 5:15, 5:15] = True
    narrower[5:13, 5:15, 5:15] = True
    assert mask_misfit(image, half) == "leaves out 50% of the voxels that the stripped image shows"
    assert mask_misfit(image, twice) == "lies to 50% where the stripped image is 0"
    assert mask_misfit(image, narrower) is None  # 20 % are left out
    assert mask_misfit(image, image.data > 0) is None
    head = head_in_noise()
    assert mask_misfit(head, np.pad([[[True]]], [(0, n - 1) for n in SHAPE])) is None
