from __future__ import annotations

import numpy as np
import pytest

from common.phantom.cord_anatomy import (
    CordAnatomy,
    Layer,
    drawn_anatomy,
    fine_grid,
    painted,
    soft,
)


@pytest.fixture(scope="module")
def person() -> CordAnatomy:
    return drawn_anatomy(fine_grid(2.0), np.random.default_rng(1))


def test_a_layer_hides_what_is_behind_it_by_its_share() -> None:
    """0.2 everywhere; a half of 1.0 gives 0.6; then a quarter of 0.1: 0.75 * 0.6 + 0.025."""
    half = np.array([[[1.0, 0.5, 0.0]]], np.float32)
    layers = (
        Layer("muscle", np.ones((1, 1, 3), np.float32)),
        Layer("fat", half),
        Layer("bone", np.full((1, 1, 3), 0.25, np.float32)),
    )
    signal = painted(layers, {"muscle": 0.2, "fat": 1.0, "bone": 0.1}, (1, 1, 3))
    np.testing.assert_allclose(signal, [[[0.775, 0.475, 0.175]]], rtol=1e-6)


def test_a_surface_takes_half_of_the_voxel_it_runs_through() -> None:
    distance = np.array([-1.0, -0.175, 0.0, 0.175, 1.0], np.float32)
    np.testing.assert_allclose(soft(distance), [1.0, 0.75, 0.5, 0.25, 0.0], atol=1e-6)


def test_each_layer_is_a_share_and_fits_the_grid(person: CordAnatomy) -> None:
    for layer in person.layers:
        assert np.broadcast_shapes(layer.share.shape, person.cord.shape) == person.cord.shape
        assert layer.share.dtype == np.float32
        assert 0 <= layer.share.min() <= layer.share.max() <= 1


def test_fluid_surrounds_the_cord_and_bone_lies_in_front(person: CordAnatomy) -> None:
    levels = {layer.tissue: 0.0 for layer in person.layers}
    middle = person.cord.shape[2] // 2
    rows = {}
    for tissue in ("csf", "white", "marrow"):
        seen = painted(person.layers, levels | {tissue: 1.0}, person.cord.shape)
        seen = seen[:, :, middle - 8 : middle + 9]  # 21 mm: a vertebra and a disc
        # mm in front of the centreline, weighted by the tissue, within 3 mm of the middle
        near = np.abs(person.frame.right[..., middle - 8 : middle + 9]) < 3
        rows[tissue] = (seen * near, person.frame.front[..., middle - 8 : middle + 9])
    white, front = rows["white"]
    assert abs((white * front).sum() / white.sum()) < 0.5
    csf, _ = rows["csf"]
    assert csf[np.broadcast_to(front > 4.5, csf.shape)].sum() > 0
    assert csf[np.broadcast_to(front < -4.5, csf.shape)].sum() > 0
    marrow, _ = rows["marrow"]
    ahead = marrow[np.broadcast_to(front > 7.0, csf.shape)].sum()
    assert ahead > 5 * marrow[np.broadcast_to(np.abs(front) < 5.0, csf.shape)].sum()


def test_the_centreline_is_curved_and_has_a_node_in_every_slice(person: CordAnatomy) -> None:
    nodes = person.frame.nodes
    np.testing.assert_array_equal(nodes[:, 2], person.frame.grid.axis_mm(2))
    assert np.ptp(nodes[:, 1]) > 1.0
    assert np.abs(nodes[:, :2]).max() < 8.0
