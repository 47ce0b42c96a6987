from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from common.arrays import BoolArray
from common.errors import SiteDataError
from common.imaging.volume import Volume
from common.phantom.anatomy import TISSUES, Anatomy
from common.phantom.grid import Field, PhantomGrid
from common.phantom.real_tissue import RealTissue, real_tissue, smoothed, template_grid
from common.phantom.transplant import (
    Transplant,
    placed,
    share_of_mask,
    softened,
    through_slices,
    transplanted,
)

SHAPE = (14, 16, 18)
FINE = {"FLAIR": (1.0, 1.0, 1.0), "T1w": (1.0, 1.0, 1.0)}
LEVEL = {"FLAIR": 200.0, "T1w": 100.0}


def block(low: int, high: int) -> BoolArray:
    """A cube from voxel `low` up to, without, voxel `high` along each axis."""
    mask = np.zeros(SHAPE, np.bool_)
    mask[low:high, low:high, low:high] = True
    return mask


def white_brain(inside: BoolArray | None = None) -> tuple[dict[str, Volume], RealTissue]:
    """White matter alone in `inside`, else in all but the outermost voxel, 1 mm, without noise."""
    if inside is None:
        inside = np.pad(np.ones([n - 2 for n in SHAPE], np.bool_), 1)
    fractions = np.zeros((len(TISSUES), *SHAPE), np.float32)
    fractions[TISSUES.index("white")] = inside
    grid = PhantomGrid((-6.0, -7.0, -8.0), (1.0, 1.0, 1.0), SHAPE)
    far = np.full(SHAPE, 20.0, np.float32)
    images = {
        name: Volume(np.where(inside, level, 0.0).astype(np.float32), grid.affine)
        for name, level in LEVEL.items()
    }
    levels = {name: np.full(SHAPE, level, np.float32) for name, level in LEVEL.items()}
    return images, RealTissue(Anatomy(grid, fractions, far, sharpening=1.0), levels)


def with_lesions(share: Field, seed: int = 0, **slices: tuple[float, float, float]) -> Transplant:
    images, tissue = white_brain()
    rng = np.random.default_rng(seed)
    return transplanted(images, tissue, share, slice_mm={**FINE, **slices}, rng=rng)


def test_a_lesion_of_one_voxel_is_in_image_and_reference() -> None:
    made = with_lesions(softened(block(7, 8)))
    assert made.reference.sum() == 1
    assert made.reference[7, 7, 7]
    assert made.images["FLAIR"].data[7, 7, 7] > 1.05 * LEVEL["FLAIR"]
    assert made.images["T1w"].data[7, 7, 7] < LEVEL["T1w"]


def test_the_mask_is_read_again_where_half_of_a_voxel_is_lesion() -> None:
    mask = np.random.default_rng(3).random(SHAPE) < 0.1
    np.testing.assert_array_equal(softened(mask) >= 0.5, mask)
    np.testing.assert_array_equal(softened(block(4, 9)) >= 0.5, block(4, 9))


def test_the_reference_is_the_share_of_at_least_one_half() -> None:
    share = np.zeros(SHAPE, np.float32)
    share[6, 6, 5:8] = (0.4, 0.5, 0.9)
    made = with_lesions(share)
    assert np.argwhere(made.reference).tolist() == [[6, 6, 6], [6, 6, 7]]


def test_a_lesion_too_small_for_its_slices_is_in_neither() -> None:
    images, _ = white_brain()
    made = with_lesions(softened(block(7, 8)), FLAIR=(1.0, 1.0, 5.0))
    assert not made.reference.any()
    for name, image in made.images.items():
        np.testing.assert_array_equal(image.data, images[name].data)


def test_nothing_changes_outside_the_brain() -> None:
    inside = block(3, 9)
    images, tissue = white_brain(inside)
    share = softened(block(6, 12))
    made = transplanted(images, tissue, share, slice_mm=FINE, rng=np.random.default_rng(0))
    assert made.reference.any()
    assert not (made.reference & ~inside).any()
    for image in made.images.values():
        assert not image.data[~inside].any()
        assert (image.data[inside] > 0).all()


def test_large_lesions_are_about_as_bright_and_dark_as_measured() -> None:
    # 5 x 5 x 5 mm; patients differ by exp(0.2), lesions by exp(0.22): the median of 40 by a tenth
    drawn = [with_lesions(softened(block(5, 10)), seed) for seed in range(40)]
    bright = [d.images["FLAIR"].data[d.reference].mean() / LEVEL["FLAIR"] - 1 for d in drawn]
    dark = [1 - d.images["T1w"].data[d.reference].mean() / LEVEL["T1w"] for d in drawn]
    assert 0.35 < float(np.median(bright)) < 0.55
    assert 0.2 < float(np.median(dark)) < 0.45


def test_dirty_white_matter_about_a_lesion_is_brighter_and_no_lesion() -> None:
    made = with_lesions(softened(block(5, 10)))
    away = ndimage.distance_transform_edt(~made.reference)
    ring = (away >= 2) & (away < 3) & (made.images["FLAIR"].data > 0)
    excess = made.images["FLAIR"].data[ring] / LEVEL["FLAIR"] - 1
    assert 0.0 < float(excess.mean()) < 0.15


def test_the_same_seed_makes_the_same_lesions_and_another_one_others() -> None:
    share = softened(block(5, 10))
    one, same, other = (with_lesions(share, seed).images["FLAIR"].data for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_the_flair_does_not_depend_on_whether_there_is_a_t1w() -> None:
    images, tissue = white_brain()
    alone = transplanted(
        {"FLAIR": images["FLAIR"]},
        tissue,
        softened(block(5, 10)),
        slice_mm=FINE,
        rng=np.random.default_rng(0),
    )
    both = with_lesions(softened(block(5, 10)))
    np.testing.assert_array_equal(alone.images["FLAIR"].data, both.images["FLAIR"].data)


def test_the_noise_of_the_image_stays_in_the_lesion() -> None:
    images, tissue = white_brain()
    noise = np.random.default_rng(5).normal(0, 4, SHAPE).astype(np.float32)
    noisy = {"FLAIR": Volume(images["FLAIR"].data + noise, images["FLAIR"].affine)}
    made = transplanted(
        noisy, tissue, softened(block(3, 12)), slice_mm=FINE, rng=np.random.default_rng(0)
    )
    deep = block(6, 9)
    # a Gaussian of 1.2 voxels takes about 1 % of the variance of white noise with it
    assert np.corrcoef(made.images["FLAIR"].data[deep], noise[deep])[0, 1] > 0.8


def test_slices_keep_the_volume_and_spread_a_point_along_their_axis_alone() -> None:
    share = np.zeros((9, 9, 40), np.float32)
    share[4, 4, 20] = 1.0
    seen = through_slices(share, np.array([1.0, 1.0, 1.0]), (1.0, 1.0, 5.0))
    assert seen.sum() == pytest.approx(1.0, rel=0.1)
    off_axis = seen.copy()
    off_axis[4, 4] = 0
    assert not off_axis.any()
    # slice 4 lies at 20 mm and gives 5 / 25 of a voxel at 16 to 24 mm; back by a triangle of 5 mm
    np.testing.assert_allclose(seen[4, 4, [16, 18, 20, 22, 24]], np.array([1, 3, 5, 3, 1]) / 25)


def test_slices_no_thicker_than_the_voxels_change_nothing() -> None:
    share = np.random.default_rng(0).random((4, 5, 6)).astype(np.float32)
    np.testing.assert_array_equal(
        through_slices(share, np.array([1.0, 1.0, 1.0]), (0.5, 1.0, 1.02)), share
    )


def test_a_mask_of_mni_space_comes_to_the_same_place_of_the_brain() -> None:
    mask = np.zeros((182, 218, 182), np.bool_)
    mask[90 + 12, 126 + 5, 72 + 7] = True  # the grid begins at -90, -126, -72 mm
    grid = PhantomGrid((10.0, 3.0, 5.0), (1.0, 1.0, 1.0), (4, 5, 6))
    assert np.argwhere(placed(mask, grid)).tolist() == [[2, 2, 2]]
    outside = PhantomGrid((200.0, 3.0, 5.0), (1.0, 1.0, 1.0), (4, 5, 6))
    assert not placed(mask, outside).any()


def test_a_mask_finds_no_room_in_fluid() -> None:
    _, tissue = white_brain()
    fractions = tissue.anatomy.fractions.copy()
    fractions[TISSUES.index("csf"), :7] = fractions[TISSUES.index("white"), :7]
    fractions[TISSUES.index("white"), :7] = 0
    half_wet = Anatomy(tissue.anatomy.grid, fractions, tissue.anatomy.ventricle_mm, sharpening=1.0)
    share = share_of_mask(np.ones((182, 218, 182), np.bool_), half_wet)
    assert not share[:7].any()
    assert (share[7:][half_wet.fraction("white")[7:] > 0] >= 0.5).all()


def real_images(average: Anatomy, *, noise: float) -> tuple[dict[str, Volume], Volume]:
    """A brain on the average brain's grid, in signals of FLAIR and T1w with white matter at 100."""
    rng = np.random.default_rng(2)
    signals = {
        "FLAIR": {"cortex": 122, "deep_grey": 112, "white": 100, "ventricle": 25, "csf": 30},
        "T1w": {"cortex": 68, "deep_grey": 80, "white": 100, "ventricle": 20, "csf": 25},
    }
    inside = average.brain > 0.5
    images = {}
    for name, signal in signals.items():
        levels = np.array([signal[tissue] for tissue in TISSUES])
        data = np.tensordot(levels, average.fractions, 1) + rng.normal(0, noise, inside.shape)
        data = np.where(inside, np.maximum(data, 1), 0).astype(np.float32)
        images[name] = Volume(data, average.grid.affine)
    return images, Volume(inside, average.grid.affine)


@pytest.mark.parametrize("modalities", [("FLAIR",), ("FLAIR", "T1w")])
def test_white_matter_and_ventricles_of_a_brain_are_found(
    average: Anatomy, modalities: tuple[str, ...]
) -> None:
    images, brain = real_images(average, noise=3.0)
    found = real_tissue({name: images[name] for name in modalities}, brain)
    white = found.anatomy.fraction("white")
    assert white[(average.fraction("white") > 0.95) & brain.data].mean() > 0.8
    wet = (average.fraction("ventricle") + average.fraction("csf") > 0.9) & brain.data
    assert white[wet].mean() < 0.05
    ventricle = (average.fraction("ventricle") > 0.9) & brain.data
    assert found.anatomy.fraction("ventricle")[ventricle].mean() > 0.8
    assert found.level["FLAIR"][brain.data].mean() == pytest.approx(100, rel=0.03)
    np.testing.assert_allclose(found.anatomy.brain, brain.data, atol=1e-5)


def test_tissue_outside_the_kept_half_is_nowhere(average: Anatomy) -> None:
    images, brain = real_images(average, noise=3.0)
    kept = brain.data.copy()
    kept[: kept.shape[0] // 2] = False
    found = real_tissue(images, brain).within(kept)
    assert not found.anatomy.brain[~kept].any()
    assert found.anatomy.brain[kept].mean() == pytest.approx(1, abs=1e-5)


def test_oblique_images_are_refused(average: Anatomy) -> None:
    _, brain = real_images(average, noise=3.0)
    tilted = brain.affine.copy()
    tilted[0, 1] = 0.3
    with pytest.raises(SiteDataError, match="found oblique ones"):
        template_grid(Volume(brain.data, tilted))


def test_half_a_brain_without_white_matter_is_refused(average: Anatomy) -> None:
    images, brain = real_images(average, noise=3.0)
    shell = brain.data & (average.fraction("white") < 0.3)
    with pytest.raises(SiteDataError, match="40 mL of white matter in the brain mask, found less"):
        real_tissue(images, Volume(shell, brain.affine))


def test_a_mean_near_the_border_sees_the_inside_alone() -> None:
    data = np.full(SHAPE, 7.0, np.float32)
    inside = block(3, 9)
    mean = smoothed(np.where(inside, data, 99.0).astype(np.float32), inside, np.ones(3))
    np.testing.assert_allclose(mean[inside], 7.0, rtol=1e-5)
