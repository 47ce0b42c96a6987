from __future__ import annotations

import numpy as np
import pytest

from common.arrays import Float32Array
from common.learning.augmentation.image_quality import (
    averaged_over_slices,
    blurred,
    edges_enhanced,
    with_other_quality,
)


def volumes(seed: int = 0) -> Float32Array:
    """Two channels of 6 x 7 x 8 voxels."""
    return np.random.default_rng(seed).normal(size=(2, 6, 7, 8)).astype(np.float32)


def every_average(images: Float32Array) -> dict[tuple[int, int], Float32Array]:
    """Number of slices and origin -> the images so averaged."""
    ways = [(2, 0), (2, -1), (3, 0), (4, 0), (4, -1)]
    return {(n, origin): averaged_over_slices(images, n, origin=origin) for n, origin in ways}


def test_the_mean_over_slices_runs_along_the_third_axis_alone() -> None:
    images = np.zeros((1, 2, 2, 6), np.float32)
    images[0, 1, 0] = [0, 3, 6, 0, 9, 0]
    # borders mirrored: the mean over three of (0) 0 3 6 0 9 0 (0)
    expected = np.zeros_like(images)
    expected[0, 1, 0] = [1, 3, 3, 5, 3, 3]
    np.testing.assert_allclose(averaged_over_slices(images, 3), expected, atol=1e-6)


def test_a_blur_spreads_a_point_alike_along_the_three_axes_and_keeps_its_sum() -> None:
    images = np.zeros((2, 15, 15, 15), np.float32)
    images[1, 7, 7, 7] = 10
    found = blurred(images, 1.0)
    assert not found[0].any()
    assert found[1].sum() == pytest.approx(10, rel=1e-4)
    # one voxel away the Gaussian of width 1 has fallen by exp(-1/2)
    for neighbour in [(8, 7, 7), (7, 8, 7), (7, 7, 6)]:
        assert found[1][neighbour] / found[1, 7, 7, 7] == pytest.approx(np.exp(-0.5), rel=1e-4)


def test_enhanced_and_blurred_edges_are_equally_far_from_the_image() -> None:
    images = volumes()
    np.testing.assert_allclose(
        edges_enhanced(images, 0.8) + blurred(images, 0.8), 2 * images, atol=1e-5
    )
    assert edges_enhanced(images, 0.8).std() > images.std() > blurred(images, 0.8).std()


def test_a_flat_image_stays_flat_in_every_way() -> None:
    flat = np.full((1, 5, 6, 7), 3.0, np.float32)
    for found in (blurred(flat, 1.7), edges_enhanced(flat, 1.7), averaged_over_slices(flat, 4)):
        np.testing.assert_allclose(found, flat, rtol=1e-5)
        assert found.dtype == np.float32


def test_both_dates_get_the_same_draw() -> None:
    date = volumes()[:1]
    for seed in range(20):
        found, _ = with_other_quality(
            np.concatenate([date, date]), date > 9, np.random.default_rng(seed)
        )
        np.testing.assert_array_equal(found[0], found[1])


def test_the_four_ways_are_drawn_alike_and_lesions_stay() -> None:
    images, random = volumes(), np.random.default_rng(2)
    lesions = images > 1
    slices = list(every_average(images).values())
    counts = {"as it is": 0, "slices": 0, "blur": 0, "edges": 0}
    for _ in range(400):
        found, kept = with_other_quality(images, lesions, random)
        np.testing.assert_array_equal(kept, lesions)
        if np.array_equal(found, images):
            counts["as it is"] += 1
        elif any(np.array_equal(found, s) for s in slices):
            counts["slices"] += 1
        else:
            counts["blur" if found.std() < images.std() else "edges"] += 1
    # 100 each, standard deviation sqrt(400 * 3 / 16) = 8.7
    assert max(abs(n - 100) for n in counts.values()) < 44


def test_two_to_four_slices_are_averaged_and_even_numbers_to_both_sides() -> None:
    images, random = volumes(), np.random.default_rng(3)
    slices = every_average(images)
    found = [with_other_quality(images, images > 1, random)[0] for _ in range(200)]
    drawn = {way for way in slices for f in found if np.array_equal(f, slices[way])}
    assert drawn == {(2, 0), (2, -1), (3, 0), (4, 0), (4, -1)}


@pytest.mark.parametrize(("n_slices", "shift"), [(2, 0.5), (4, 0.5)])
def test_an_even_number_of_slices_moves_a_point_by_half_a_slice_to_either_side(
    n_slices: int, shift: float
) -> None:
    """Voxel k takes the mean of k-1, k (2 slices) or k-2 .. k+1 (4): the point at 6 is seen at
    6, 7 or 5 .. 8, half a slice late; with origin -1 at 5, 6 or 4 .. 7, half a slice early."""
    images = np.zeros((1, 2, 2, 13), np.float32)
    images[..., 6] = 1
    late, early = (averaged_over_slices(images, n_slices, origin=o)[0, 0, 0] for o in (0, -1))
    centres = [float(np.arange(13) @ seen) for seen in (late, early)]
    assert centres == pytest.approx([6 + shift, 6 - shift])
    assert np.mean(centres) == pytest.approx(6)
