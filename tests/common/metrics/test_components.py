from __future__ import annotations

import dataclasses

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
