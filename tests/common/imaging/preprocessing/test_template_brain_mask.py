from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from common.arrays import BoolArray
from common.errors import GeometryError, SiteDataError
from common.imaging.grid import nearest_onto
from common.imaging.preprocessing.rigid_registration import rigid_move
from common.imaging.preprocessing.template_brain_mask import template_brain_mask
from common.imaging.volume import Volume, read_mask, read_volume
from tests.volumes import oblique_affine

SITES = Path(__file__).parents[4].parent / "shared" / "data" / "sites"

ROOM_MM = 24
SCALE = 0.92
"""The phantom's brain against the template: a person's brain is smaller."""


def made_head() -> tuple[Volume, Volume]:
    """A FLAIR-like head of 2 x 2 x 4 mm, turned by 8 degrees, and the brain in it.

    Made of the template: fluid dark, grey brighter than white matter, 5 mm of dark bone around the
    brain, 6 mm of scalp brighter than the brain, noise everywhere.
    """
    from nilearn.datasets import load_mni152_template

    template = load_mni152_template(resolution=2)
    values = np.pad(np.asarray(template.dataobj, dtype=np.float64), ROOM_MM // 2)
    brain = ndimage.binary_fill_holes(ndimage.binary_closing(values > 0.2, iterations=3))
    away = ndimage.distance_transform_edt(~brain, 2.0)
    flair = np.select([values < 0.3, values < 0.7], [20.0, 130.0], 100.0)
    head = np.select([brain, away <= 5, away <= 11], [flair, 8.0, 260.0], 0.0)
    turn = np.deg2rad(8)
    affine = np.diag([2.0 * SCALE, 2.0 * SCALE, 4.0 * SCALE, 1.0])
    about_i = np.eye(4)
    about_i[1:3, 1:3] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    affine = about_i @ affine
    affine[:3, 3] = (-110, -140, -60)
    rng = np.random.default_rng(0)
    sliced = head[:, :, : head.shape[2] // 2 * 2].reshape(*head.shape[:2], -1, 2).mean(axis=3)
    noisy = np.abs(sliced + rng.normal(0, 4, sliced.shape)).astype(np.float32)
    return Volume(noisy, affine), Volume(np.asarray(brain[:, :, : noisy.shape[2] * 2 : 2]), affine)


def dice(a: BoolArray, b: BoolArray) -> float:
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


@pytest.mark.slow
def test_the_brain_of_a_turned_head_with_a_bright_scalp_is_found_twice_alike() -> None:
    head, brain = made_head()
    mask = template_brain_mask(head)
    assert mask.data.dtype == np.bool_
    np.testing.assert_array_equal(mask.affine, head.affine)
    assert dice(mask.data, brain.data) > 0.95
    np.testing.assert_array_equal(template_brain_mask(head).data, mask.data)


@pytest.mark.slow
def test_a_head_the_size_of_a_fist_is_no_brain() -> None:
    head, _ = made_head()
    small = Volume(head.data, head.affine @ np.diag([0.5, 0.5, 0.5, 1]))
    with pytest.raises(SiteDataError, match=r"(?s)brain mask from the template.*site\.toml"):
        template_brain_mask(small)


@pytest.mark.slow
@pytest.mark.skipif(not SITES.is_dir(), reason="the real volumes are not beside the repository")
@pytest.mark.parametrize("session", ["ses-01", "ses-02"])
def test_a_real_flair_is_masked_like_the_given_mask(session: str) -> None:
    site, stem = SITES / "ljubljana-long", f"sub-LJLG01_{session}"
    image = read_volume(site / "sub-LJLG01" / session / "anat" / f"{stem}_FLAIR.nii.gz")
    folder = site / "derivatives" / "coreg" / "sub-LJLG01" / session / "anat"
    common = read_volume(folder / f"{stem}_space-common_desc-brain_FLAIR.nii.gz")
    lesions = site / "derivatives" / "lesions" / "sub-LJLG01" / "anat"
    given = read_mask(lesions / "sub-LJLG01_space-common_desc-brain_mask.nii.gz")
    mask = template_brain_mask(image)
    move = rigid_move(common, image, fixed_mask=given)
    carried = nearest_onto(given, Volume(mask.data, move.matrix @ mask.affine))
    assert dice(carried.data, given.data) >= 0.93


@pytest.mark.parametrize(
    ("value", "found"),
    [
        pytest.param(np.nan, "found NaN", id="NaN"),
        pytest.param(0.0, "intensities above 0, found none", id="empty"),
        pytest.param(-1.0, "intensities above 0, found none", id="negative"),
    ],
)
def test_an_image_that_shows_no_head_is_refused_before_the_search(value: float, found: str) -> None:
    image = Volume(np.full((12, 14, 8), value, np.float32), oblique_affine((4.0, 4.0, 8.0)))
    with pytest.raises(SiteDataError, match=rf"(?s){found}.*desc-brain_mask"):
        template_brain_mask(image)


def test_a_shell_without_inside_is_refused() -> None:
    data = np.zeros((50, 50, 40), np.float32)
    i, j, k = np.meshgrid(*(np.arange(n) - n / 2 for n in data.shape), indexing="ij")
    away = np.sqrt(i**2 + j**2 + k**2) * 4
    data[(away > 66) & (away < 78)] = 100
    with pytest.raises(SiteDataError, match=r"a hollow head"):
        template_brain_mask(Volume(data, np.diag([4.0, 4, 4, 1])))


def test_a_skew_grid_is_refused() -> None:
    affine = np.diag([4.0, 4, 4, 1])
    affine[0, 1] = 0.5
    with pytest.raises(GeometryError, match="axes at right angles"):
        template_brain_mask(Volume(np.ones((12, 14, 8), np.float32), affine))
