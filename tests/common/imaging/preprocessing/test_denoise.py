from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import GeometryError, SiteDataError
from common.imaging.preprocessing.denoise import denoised, noise_level
from common.imaging.volume import Volume
from tests.volumes import head_in_noise, oblique_affine

SHAPE = (40, 44, 16)
SPACING_MM = (1.0, 1.25, 1.5)
SIGMA = 6.0


def blocks(*, spacing_mm: tuple[float, float, float] = SPACING_MM) -> Volume:
    """White matter of 100, grey matter of 140 on one side, and a lesion of 2 x 2 x 2 of 200."""
    data = np.full(SHAPE, 100, np.float32)
    data[:, 30:] = 140
    data[10:12, 10:12, 7:9] = 200
    return Volume(data, oblique_affine(spacing_mm))


def with_rician_noise(truth: Volume, sigma: float, *, seed: int = 0) -> Volume:
    real, imaginary = np.random.default_rng(seed).normal(0, sigma, (2, *truth.data.shape))
    return Volume(np.hypot(truth.data + real, imaginary).astype(np.float32), truth.affine)


def error(image: Volume, truth: Volume) -> float:
    return float(np.sqrt(np.mean(np.square(image.data - truth.data))))


@pytest.mark.parametrize(
    "spacing_mm", [pytest.param(SPACING_MM, id="thin"), pytest.param((0.7, 0.7, 5.0), id="thick")]
)
def test_the_error_falls_by_more_than_a_third(spacing_mm: tuple[float, float, float]) -> None:
    truth = blocks(spacing_mm=spacing_mm)
    noisy = with_rician_noise(truth, SIGMA)
    assert error(denoised(noisy), truth) < error(noisy, truth) / 1.5


def test_a_lesion_of_eight_voxels_keeps_its_contrast() -> None:
    clean = denoised(with_rician_noise(blocks(), SIGMA))
    lesion = clean.data[10:12, 10:12, 7:9].mean() - clean.data[14:20, 10:20].mean()
    assert lesion == pytest.approx(100, rel=0.06)  # noise of 6 / sqrt(8) is 2 % of it


def test_an_edge_keeps_its_height() -> None:
    clean = denoised(with_rician_noise(blocks(), SIGMA))
    step = clean.data[:, 30].mean() - clean.data[:, 29].mean()
    assert step == pytest.approx(40, rel=0.05)


def test_the_offset_that_noise_adds_to_magnitudes_is_taken_off() -> None:
    # sqrt(mean of squares) of noise about a signal A is sqrt(A^2 + 2 sigma^2): 31.2 for A = 30
    truth = Volume(np.full(SHAPE, 30, np.float32), oblique_affine(SPACING_MM))
    noisy = with_rician_noise(truth, SIGMA)
    assert noisy.data.mean() > 30.4
    assert denoised(noisy).data.mean() == pytest.approx(30, abs=0.25)


def test_the_noise_level_is_found_beside_an_edge() -> None:
    assert noise_level(with_rician_noise(blocks(), SIGMA)) == pytest.approx(SIGMA, rel=0.1)


def test_slices_are_not_compared_when_they_are_thick() -> None:
    truth = blocks(spacing_mm=(0.7, 0.7, 5.0))
    noisy = with_rician_noise(truth, SIGMA)
    alone = Volume(noisy.data.copy(), noisy.affine)
    alone.data[:, :, 9] = np.flip(alone.data[:, :, 9], 0)  # as noisy, in another order
    np.testing.assert_allclose(
        denoised(alone).data[:, :, 8], denoised(noisy).data[:, :, 8], rtol=1e-3
    )


def test_an_image_without_noise_stays_as_it_is() -> None:
    np.testing.assert_array_equal(denoised(blocks()).data, blocks().data)


def test_voxels_far_from_the_brain_stay_as_they_are() -> None:
    noisy = with_rician_noise(blocks(), SIGMA)
    brain = np.zeros(SHAPE, np.bool_)
    brain[8:16, 8:16, 5:11] = True  # 8 mm are 8, 7 and 6 voxels, rounded up
    clean = denoised(noisy, Volume(brain, noisy.affine))
    np.testing.assert_array_equal(clean.data[24:], noisy.data[24:])
    np.testing.assert_array_equal(clean.data[:, 23:], noisy.data[:, 23:])
    assert (clean.data[8:16, 8:16, 5:11] != noisy.data[8:16, 8:16, 5:11]).all()


@settings(max_examples=5)
@given(st.integers(0, 1000), st.sampled_from([0.25, 4.0, 64.0]))
def test_a_gain_passes_through(seed: int, gain: float) -> None:
    noisy = with_rician_noise(blocks(), SIGMA, seed=seed)
    louder = denoised(Volume(noisy.data * np.float32(gain), noisy.affine))
    np.testing.assert_allclose(louder.data, gain * denoised(noisy).data, rtol=1e-3)


def test_a_turned_image_gives_the_turned_result() -> None:
    noisy = with_rician_noise(blocks(), SIGMA)
    turned = Volume(noisy.data[::-1].copy(), noisy.affine @ np.diag([-1.0, 1, 1, 1]))
    np.testing.assert_allclose(denoised(turned).data[::-1], denoised(noisy).data, rtol=1e-4)


def test_nan_is_refused() -> None:
    noisy = blocks()
    noisy.data[3, 4, 5] = np.nan
    with pytest.raises(SiteDataError, match="want a finite number in every voxel"):
        denoised(noisy)


def test_a_mask_on_another_grid_is_refused() -> None:
    image = blocks()
    brain = Volume(np.ones(SHAPE, np.bool_), image.affine + np.eye(4, k=3))
    with pytest.raises(GeometryError, match="the brain mask"):
        denoised(image, brain)


@pytest.mark.parametrize("power", [-90, -40, 40])
def test_any_scale_gives_the_same_bits_times_that_scale(power: int) -> None:
    image = head_in_noise()
    scaled = Volume(np.ldexp(image.data, power), image.affine)
    np.testing.assert_array_equal(denoised(scaled).data, np.ldexp(denoised(image).data, power))


def test_values_below_zero_stay_as_they_are_and_count_as_zero() -> None:
    image = head_in_noise()
    padded = Volume(image.data.copy(), image.affine)
    padded.data[:2] = -2000
    zeros = Volume(np.maximum(padded.data, 0), image.affine)
    zeros.data[:2] = 0
    np.testing.assert_array_equal(denoised(padded, brain_here(image)).data[:2], -2000)
    np.testing.assert_array_equal(
        denoised(padded, brain_here(image)).data[2:], denoised(zeros, brain_here(image)).data[2:]
    )


def brain_here(image: Volume) -> Volume:
    """Part of the brain, away from the padding."""
    brain = np.zeros(image.data.shape, np.bool_)
    brain[4:8, 4:10, 2:6] = True
    return Volume(brain, image.affine)
