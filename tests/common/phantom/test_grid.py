from __future__ import annotations

import numpy as np
import pytest

from common.errors import ConfigError
from common.phantom.grid import (
    PhantomGrid,
    anatomy_grid,
    common_grid,
    covering,
    resampled,
    sampled,
    smooth_noise,
    triangle_weights,
)


def uneven_grid() -> PhantomGrid:
    return PhantomGrid((-4.0, 3.0, 10.0), (1.0, 1.5, 4.0), (9, 7, 5))


def test_common_grid_at_1_mm_is_the_mni152_grid_from_left_to_right() -> None:
    grid = common_grid(1.0)
    assert grid.shape == (182, 218, 182)
    np.testing.assert_allclose(grid.affine[:3, 3], (-90.0, -126.0, -72.0))
    np.testing.assert_allclose(grid.affine[:3, :3], np.eye(3))


def test_common_grid_at_2_mm_fills_the_same_box() -> None:
    # 182 / 2 = 91, and the first centre lies half a voxel inside: -90.5 + 1
    grid = common_grid(2.0)
    assert grid.shape == (91, 109, 91)
    np.testing.assert_allclose(grid.first_mm, (-89.5, -125.5, -71.5))


@pytest.mark.parametrize("spacing_mm", [0.1, 7.0, float("nan")])
def test_spacing_outside_half_to_four_mm_is_refused(spacing_mm: float) -> None:
    with pytest.raises(ConfigError, match=r"want 0\.5 to 4 mm, got"):
        common_grid(spacing_mm)


def test_anatomy_grid_is_finer_than_the_output_but_not_below_1_mm() -> None:
    assert anatomy_grid(2.0).spacing_mm == (1.5, 1.5, 1.5)
    assert anatomy_grid(0.5).spacing_mm == (1.0, 1.0, 1.0)


def test_triangle_is_linear_interpolation_when_as_wide_as_the_source_step() -> None:
    weights = triangle_weights(np.array([0.0, 4.0, 8.0]), np.array([1.0, 6.0]), width_mm=4.0)
    np.testing.assert_allclose(weights, [[0.75, 0.25, 0.0], [0.0, 0.5, 0.5]])


def test_wider_triangle_averages() -> None:
    # distances 2 0 2 of a triangle that ends at 4: 0.5 1 0.5, divided by their sum 2
    weights = triangle_weights(np.array([-2.0, 0.0, 2.0]), np.array([0.0]), width_mm=4.0)
    np.testing.assert_allclose(weights, [[0.25, 0.5, 0.25]])


def test_target_far_from_every_source_gets_nothing() -> None:
    weights = triangle_weights(np.array([0.0, 1.0]), np.array([9.0]), width_mm=1.0)
    np.testing.assert_array_equal(weights, [[0.0, 0.0]])


def test_resampling_keeps_a_linear_ramp_along_each_axis() -> None:
    source = uneven_grid()
    x, y, z = source.coordinates_mm()
    ramp = (2.0 * x - 3.0 * y + 0.5 * z).astype(np.float32)
    target = covering(((-3.0, 4.0, 12.0), (3.0, 10.0, 20.0)), (0.5, 1.0, 2.0))
    tx, ty, tz = target.coordinates_mm()
    np.testing.assert_allclose(
        resampled(ramp, source, target), 2.0 * tx - 3.0 * ty + 0.5 * tz, atol=1e-4
    )


def test_smooth_noise_has_unit_spread_and_changes_over_its_scale() -> None:
    grid = PhantomGrid((0.0, 0.0, 0.0), (1.0, 1.0, 2.0), (80, 70, 40))
    noise = smooth_noise(np.random.default_rng(3), grid, scale_mm=5.0)
    assert noise.shape == grid.shape
    assert abs(float(noise.mean())) < 0.1
    assert 0.9 < float(noise.std()) < 1.1
    # neighbours 1 mm apart nearly agree, voxels 20 mm apart (4 knots) do not
    near = np.corrcoef(noise[:-1].ravel(), noise[1:].ravel())[0, 1]
    far = np.corrcoef(noise[:-20].ravel(), noise[20:].ravel())[0, 1]
    assert near > 0.95
    assert abs(far) < 0.2


def test_sharply_ended_k_space_keeps_the_mean_and_rings_beside_an_edge() -> None:
    fine = PhantomGrid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (60, 1, 1))
    coarse = PhantomGrid((0.5, 0.0, 0.0), (2.0, 1.0, 1.0), (30, 1, 1))
    step = np.zeros(fine.shape, dtype=np.float32)
    step[30:] = 1.0
    soft, sharp = (
        sampled(step, fine, coarse, truncation=(share, 0.0, 0.0))[:, 0, 0] for share in (0.0, 1.0)
    )
    np.testing.assert_array_equal(soft, resampled(step, fine, coarse)[:, 0, 0])
    assert soft.min() >= 0.0
    assert soft.max() <= 1.0 + 1e-6
    # Gibbs: a step goes at most 8.95 % beyond either side, and at the centres of voxels, 1.5 from
    # the step, 0.5 + Si(1.5 pi) / pi - 1 = 1.2 %; ending the sinc moves that by less than 2 %
    assert 1.012 - 0.01 < float(sharp.max()) < 1.0895
    assert -0.0895 < float(sharp.min()) < -0.012 + 0.01
    np.testing.assert_allclose(sharp[:6], 0.0, atol=1e-6)
    np.testing.assert_allclose(sharp[22:26], 1.0, atol=1e-6)
