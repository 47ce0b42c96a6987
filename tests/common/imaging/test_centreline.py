from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.arrays import FloatArray
from common.errors import SiteDataError
from common.imaging.centreline import (
    centreline_of,
    moved_nodes,
    near_centreline,
    read_centreline,
)
from common.imaging.grid import Grid
from common.imaging.volume import Volume
from tests.volumes import SHAPE, oblique_affine


def table(folder: Path, *lines: str) -> Path:
    path = folder / "sub-01_desc-centreline.tsv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def in_world(*voxels: tuple[float, float, float]) -> FloatArray:
    return moved_nodes(oblique_affine(), np.array(voxels))


def test_nodes_are_read_by_their_columns_in_the_file_s_order(tmp_path: Path) -> None:
    path = table(tmp_path, "\ufeffz_mm\tlevel\tx_mm\ty_mm", "-3.5\tC2\t1\t2e1", "-9\tC3\t1.5\t21")
    np.testing.assert_array_equal(read_centreline(path), [[1, 20, -3.5], [1.5, 21, -9]])


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        pytest.param(
            ("x_mm\ty_mm", "1\t2"),
            r"line 1: want the columns x_mm, y_mm, z_mm .* found no z_mm",
            id="a column is missing",
        ),
        pytest.param(
            ("x_mm\ty_mm\tz_mm", "1\t2\t3", "1\t2,5\t3"),
            r"line 3: want a finite number of mm in y_mm, found '2,5'\. Mend that line",
            id="a decimal comma",
        ),
        pytest.param(
            ("x_mm\ty_mm\tz_mm", "1\t2\tnan", "1\t2\t3"), r"line 2: .* z_mm, found 'nan'", id="nan"
        ),
        pytest.param(
            ("x_mm\ty_mm\tz_mm", "1\t2", "1\t2\t3"), r"line 2: .* z_mm, found None", id="short line"
        ),
        pytest.param(
            ("x_mm\ty_mm\tz_mm", "1\t2\t3"), "at least 2 nodes, found 1", id="a single node"
        ),
    ],
)
def test_a_table_that_is_no_centreline_is_refused(
    tmp_path: Path, lines: tuple[str, ...], words: str
) -> None:
    with pytest.raises(SiteDataError, match=words):
        read_centreline(table(tmp_path, *lines))


def test_a_table_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SiteDataError, match=r"cannot be read: .*No such file"):
        read_centreline(tmp_path / "none.tsv")


def test_the_centreline_of_a_mask_is_its_slices_centroids() -> None:
    """Slice 2 holds (3, 4) and (5, 5): (4, 4.5); slice 5 holds (6, 7); those between are empty."""
    cord = np.zeros(SHAPE, np.uint8)
    cord[3, 4, 2] = cord[5, 5, 2] = cord[6, 7, 5] = 1
    nodes = centreline_of(Volume(cord, oblique_affine()))
    np.testing.assert_allclose(nodes, in_world((4, 4.5, 2), (6, 7, 5)), atol=1e-12)


def test_slices_lie_across_head_foot_however_thick_the_other_axes() -> None:
    """Tilted by 20 degrees, 6 mm of i climb 2.05 mm and 0.5 mm of j only 0.47; j is head-foot."""
    sin, cos = np.sin(np.deg2rad(20)), np.cos(np.deg2rad(20))
    affine = np.eye(4)
    affine[:3, 0] = 6 * np.array([cos, 0, sin])
    affine[:3, 1] = 0.5 * np.array([-sin, 0, cos])
    affine[:3, 2] = 0.5 * np.array([0, -1, 0])
    cord = np.zeros((3, 5, 6), bool)
    cord[1, 1:4, 2:4] = True
    expected = moved_nodes(affine, np.array([(1, 1, 2.5), (1, 2, 2.5), (1, 3, 2.5)]))
    np.testing.assert_allclose(centreline_of(Volume(cord, affine)), expected, atol=1e-12)


def test_a_cord_in_one_slice_has_no_centreline() -> None:
    cord = np.zeros(SHAPE, bool)
    cord[3:6, 4, 2] = True
    with pytest.raises(SiteDataError, match=r"at least 2 slices .* found it in 1 of 8 \(.* axis k"):
        centreline_of(Volume(cord, oblique_affine()))


@pytest.mark.parametrize(
    ("voxel", "near"),
    [
        pytest.param((8, 6, 3), True, id="3 of 1 mm: 3"),
        pytest.param((9, 6, 3), False, id="4 of 1 mm: 4"),
        pytest.param((7, 8, 3), True, id="2 and 2.5 mm: 3.20"),
        pytest.param((8, 8, 3), False, id="3 and 2.5 mm: 3.91"),
        pytest.param((6, 7, 6), True, id="beyond the end, 1, 1.25 and 3 mm: 3.40"),
        pytest.param((7, 6, 6), False, id="beyond the end, 2 and 3 mm: 3.61"),
        pytest.param((5, 6, 0), True, id="before the start, 3 mm"),
        pytest.param((5, 6, 7), False, id="beyond the end, 6 mm"),
    ],
)
def test_near_is_counted_in_mm_on_an_oblique_grid(voxel: tuple[int, int, int], near: bool) -> None:
    """The line runs through the centres of (5, 6, 1) to (5, 6, 5), voxels of 1 x 1.25 x 3 mm."""
    line = in_world((5, 6, 1), (5, 6, 5))
    found = near_centreline(line, Grid(SHAPE, oblique_affine()), radius_mm=3.5)
    assert found.data[voxel] == near
    assert found.data.dtype == np.bool_


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), radius_mm=st.floats(0.5, 12))
def test_the_distance_is_that_to_the_nearest_point_of_the_line(seed: int, radius_mm: float) -> None:
    """500 points a segment overestimate by no more than half of their step."""
    rng = np.random.default_rng(seed)
    nodes = in_world(*rng.uniform(-4, 16, (4, 3)).tolist())
    grid = Grid(SHAPE, oblique_affine())
    points = np.concatenate([np.linspace(a, b, 500) for a, b in pairwise(nodes)])
    step_mm = max(float(np.linalg.norm(b - a)) for a, b in pairwise(nodes)) / 499
    centres = moved_nodes(grid.affine, np.argwhere(np.ones(SHAPE, bool)).astype(np.float64))
    above = np.array([np.linalg.norm(points - centre, axis=1).min() for centre in centres])
    near = near_centreline(nodes, grid, radius_mm=radius_mm).data.ravel()
    assert near[above <= radius_mm - 1e-9].all()
    assert (above[near] <= radius_mm + step_mm / 2 + 1e-9).all()


def test_a_node_given_twice_changes_nothing() -> None:
    once = in_world((5, 6, 1), (5, 6, 5))
    grid = Grid(SHAPE, oblique_affine())
    twice = near_centreline(np.repeat(once, 2, axis=0), grid, radius_mm=3.5)
    np.testing.assert_array_equal(twice.data, near_centreline(once, grid, radius_mm=3.5).data)


def test_nothing_is_near_a_line_outside_the_grid() -> None:
    line = in_world((5, 6, 30), (5, 6, 50))
    assert not near_centreline(line, Grid(SHAPE, oblique_affine()), radius_mm=15).data.any()
