from __future__ import annotations

import numpy as np
import pytest

from common.arrays import BoolArray, FloatArray
from common.errors import GeometryError, SiteDataError
from common.imaging.preprocessing.bias_field import correct_bias
from common.imaging.volume import Volume
from tests.volumes import brain_voxels, oblique_affine

SHAPE = (44, 40, 20)
SPACING_MM = (2.0, 2.5, 5.0)
WHITE, GREY = 100.0, 140.0


def two_tissues(*, seed: int = 0) -> tuple[Volume, Volume, BoolArray]:
    """A FLAIR-like ellipsoid with noise of 2, its mask, and where its white matter lies.

    White matter fills the inner 0.8 of the ellipsoid, so that a rim of grey matter is left.
    """
    away = [(np.arange(n) - (n - 1) / 2) / ((n - 2) / 2) for n in SHAPE]
    i, j, k = np.meshgrid(*away, indexing="ij")
    white = i**2 + j**2 + k**2 <= 0.64
    brain = brain_voxels(SHAPE)
    noise = np.random.default_rng(seed).normal(0, 2, SHAPE)
    data = np.where(brain, np.where(white, WHITE, GREY) + noise, 5)
    affine = oblique_affine(SPACING_MM)
    return Volume(data.astype(np.float32), affine), Volume(brain, affine), white


def smooth_field() -> FloatArray:
    """From about 0.7 to 1.4, along a diagonal and bent; no multiple of the spline's pieces."""
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    return np.asarray(np.exp(0.25 * x + 0.15 * y * z + 0.15 * np.sin(2 * y)))


def variation(image: Volume, where: BoolArray) -> float:
    return float(image.data[where].std() / image.data[where].mean())


def test_the_variation_within_white_matter_falls_by_more_than_half() -> None:
    plain, brain, white = two_tissues()
    shaded = Volume((plain.data * smooth_field()).astype(np.float32), plain.affine)
    corrected = correct_bias(shaded, brain)
    assert variation(corrected, white) < variation(shaded, white) / 2
    assert corrected.data.dtype == np.float32


def test_an_image_without_a_field_is_changed_by_less_than_two_percent() -> None:
    plain, brain, _ = two_tissues()
    change = correct_bias(plain, brain).data[brain.data] / plain.data[brain.data]
    assert np.abs(change - 1).mean() < 0.02


def test_the_mean_inside_the_brain_stays() -> None:
    plain, brain, _ = two_tissues()
    shaded = Volume((plain.data * smooth_field()).astype(np.float32), plain.affine)
    after = correct_bias(shaded, brain).data[brain.data].mean(dtype=np.float64)
    assert after == pytest.approx(shaded.data[brain.data].mean(dtype=np.float64), rel=1e-5)


def test_gain_passes_through_and_equal_images_give_equal_bits() -> None:
    plain, brain, _ = two_tissues()
    shaded = Volume((plain.data * smooth_field()).astype(np.float32), plain.affine)
    once, again = correct_bias(shaded, brain), correct_bias(shaded, brain)
    np.testing.assert_array_equal(once.data, again.data)
    louder = correct_bias(Volume(shaded.data * np.float32(8), plain.affine), brain)
    np.testing.assert_allclose(louder.data, 8 * once.data, rtol=1e-2)


def test_the_background_is_not_blown_up() -> None:
    plain, brain, _ = two_tissues()
    shaded = Volume((plain.data * smooth_field()).astype(np.float32), plain.affine)
    ratio = correct_bias(shaded, brain).data / shaded.data
    inside = ratio[brain.data]
    assert ratio.min() >= inside.min() * (1 - 1e-5)
    assert ratio.max() <= inside.max() * (1 + 1e-5)


def test_zeros_and_negative_values_in_the_brain_do_not_stop_it() -> None:
    plain, brain, _ = two_tissues()
    holed = plain.data * smooth_field().astype(np.float32)
    holed[22, 20, 8:12] = (0, -3, 0, -3)
    corrected = correct_bias(Volume(holed, plain.affine), brain)
    assert np.isfinite(corrected.data).all()
    assert corrected.data[22, 20, 8] == 0


def test_an_image_without_positive_brain_is_refused() -> None:
    plain, brain, _ = two_tissues()
    with pytest.raises(SiteDataError, match="before any z-score"):
        correct_bias(Volume(-plain.data, plain.affine), brain)


def test_a_mask_on_another_grid_is_refused() -> None:
    plain, brain, _ = two_tissues()
    moved = brain.affine + np.eye(4, k=3)
    with pytest.raises(GeometryError, match="the brain mask"):
        correct_bias(plain, Volume(brain.data, moved))
