from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from common.errors import GeometryError
from common.metrics.components import find_lesions, min_voxels, voxel_volume_mm3
from common.metrics.presets import MSSEG2016, Connectivity
from tests.crafted_masks import SPACING_MM, line, mask


def test_lesions_are_numbered_by_their_first_voxel_with_i_fastest() -> None:
    lesions = find_lesions(
        mask(line(0, 4, 1, 3), line(30, 36, 1, 0), line(10, 15, 3, 0)),
        spacing_mm=SPACING_MM,
        definition=MSSEG2016,
    )
    assert lesions.sizes.tolist() == [6, 5, 4]
    assert [lesions.labels[at] for at in ((30, 1, 0), (10, 3, 0), (0, 1, 3))] == [1, 2, 3]


@pytest.mark.parametrize(
    ("offset", "n_lesions"),
    [
        pytest.param((2, 0, 0), {6: 1, 18: 1, 26: 1}, id="by a face"),
        pytest.param((2, 2, 0), {6: 2, 18: 1, 26: 1}, id="by an edge"),
        pytest.param((2, 2, 2), {6: 2, 18: 2, 26: 1}, id="by a corner"),
    ],
)
def test_two_blocks_that_touch(
    offset: tuple[int, int, int], n_lesions: dict[Connectivity, int]
) -> None:
    i, j, k = offset
    blocks = mask(
        (slice(0, 2), slice(0, 2), slice(0, 2)),
        (slice(i, i + 2), slice(j, j + 2), slice(k, k + 2)),
    )
    for connectivity, expected in n_lesions.items():
        definition = dataclasses.replace(MSSEG2016, connectivity=connectivity)
        assert len(find_lesions(blocks, spacing_mm=SPACING_MM, definition=definition)) == expected


@pytest.mark.parametrize(
    ("spacing_mm", "fewest"),
    [
        pytest.param((1.0, 1.0, 1.0), 4, id="3 / 1 = 3 exactly: 4"),
        pytest.param((1.0, 1.0, 0.75), 5, id="3 / 0.75 = 4 exactly: 5"),
        pytest.param((1.0, 1.0, 0.6), 5, id="3 / float32(0.6) is just under 5: 5"),
        pytest.param((0.8, 0.8, 0.8), 6, id="3 / 0.512 = 5.86: 6"),
        pytest.param((1.0, 1.0, 3.5), 1, id="3 / 3.5 = 0.86: 1"),
    ],
)
def test_a_lesion_is_strictly_larger_than_3_mm3(
    spacing_mm: tuple[float, float, float], fewest: int
) -> None:
    assert min_voxels(spacing_mm, 3.0) == fewest


def test_without_a_minimum_volume_one_voxel_is_a_lesion() -> None:
    assert min_voxels((1.0, 0.5, 2.0), 0.0) == 1


@pytest.mark.parametrize(
    "spacing_mm", [(1.0, 0.0, 1.0), (1.0, -1.0, 1.0), (1.0, float("nan"), 1.0), (1.0, 1.0)]
)
def test_a_spacing_that_cannot_be_is_refused(spacing_mm: tuple[float, ...]) -> None:
    with pytest.raises(GeometryError, match="spacing_mm: want three lengths above 0, got"):
        voxel_volume_mm3(spacing_mm)


@pytest.mark.parametrize("degrees", [0, 1, 3, 5, 10, 15, 20, 33.3])
def test_the_smallest_lesion_does_not_depend_on_the_angle_of_the_head(degrees: float) -> None:
    # 5 voxels of 1 x 1 x 0.6 mm are 3.0000001 mm3 in float32: a lesion, however the grid is turned
    turn = np.eye(3)
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn[1:, 1:] = [[c, -s], [s, c]]
    stored = (turn @ np.diag([1.0, 1.0, 0.6])).astype(np.float32).astype(np.float64)
    assert min_voxels(np.linalg.norm(stored, axis=0), 3.0) == 5


def test_a_mask_that_may_not_be_written_is_read_all_the_same() -> None:
    mask = np.zeros((4, 3, 3), dtype=np.bool_, order="F")
    mask[1:3, 1, 1] = True
    mask.flags.writeable = False
    found = find_lesions(mask, spacing_mm=(1, 1, 3), definition=MSSEG2016)
    assert found.sizes.tolist() == [2]
