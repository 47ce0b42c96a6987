from __future__ import annotations

import numpy as np
import pytest

from common.errors import GeometryError
from common.imaging.grid import Grid
from common.imaging.volume import same_grid
from tests.volumes import SHAPE, stripped_brain


def test_the_grid_of_a_volume_filled_is_on_that_grid() -> None:
    volume = stripped_brain()
    filled = Grid.of(volume).filled(2.5)
    assert same_grid(filled, volume)
    assert filled.data.shape == SHAPE
    assert np.unique(filled.data) == [2.5]
    assert not filled.data.flags.writeable


@pytest.mark.parametrize("shape", [(0, 4, 4), (4, -1, 4)])
def test_a_grid_without_voxels_is_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(GeometryError, match="voxels along each axis"):
        Grid(shape, np.eye(4))


def test_a_grid_with_a_flat_affine_is_refused() -> None:
    with pytest.raises(GeometryError, match="can be inverted"):
        Grid((4, 4, 4), np.diag([1.0, 1.0, 0.0, 1.0]))
