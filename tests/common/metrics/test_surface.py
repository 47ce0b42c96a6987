from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.spatial.distance import cdist

from common.arrays import BoolArray
from common.errors import GeometryError
from common.metrics.surface import SurfaceDistances, contour, surface_distances

SPACING_MM = (0.75, 2.0, 1.5)
UNDEFINED = SurfaceDistances(
    hausdorff_mm=None, hd95_mm=None, contour_mean_distance_mm=None, assd_mm=None
)
SHAPES = arrays.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=5)


def by_all_pairs(reference: BoolArray, prediction: BoolArray) -> SurfaceDistances:
    """The distances as they are defined: from every voxel to every other."""
    whole = cdist(np.argwhere(reference) * SPACING_MM, np.argwhere(prediction) * SPACING_MM)
    contours = cdist(
        np.argwhere(has_background_at_a_face(reference)) * SPACING_MM,
        np.argwhere(has_background_at_a_face(prediction)) * SPACING_MM,
    )
    there, back = contours.min(axis=0), contours.min(axis=1)
    return SurfaceDistances(
        hausdorff_mm=max(whole.min(axis=0).max(), whole.min(axis=1).max()),
        hd95_mm=max(np.percentile(there, 95), np.percentile(back, 95)),
        contour_mean_distance_mm=max(there.mean(), back.mean()),
        assd_mm=np.concatenate([there, back]).mean(),
    )


def has_background_at_a_face(mask: BoolArray) -> BoolArray:
    """The contour, voxel by voxel."""
    found = np.zeros_like(mask)
    for voxel in np.argwhere(mask):
        for axis in range(3):
            for step in (-1, 1):
                neighbour = voxel.copy()
                neighbour[axis] += step
                inside = (neighbour >= 0).all() and (neighbour < mask.shape).all()
                if inside and not mask[tuple(neighbour)]:
                    found[tuple(voxel)] = True
    return found


def same(found: SurfaceDistances, expected: SurfaceDistances) -> bool:
    names = SurfaceDistances.__slots__
    return all(
        getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-12, abs=1e-12)
        for name in names
    )


@given(st.data(), SHAPES)
def test_every_distance_is_the_one_over_all_pairs(
    data: st.DataObject, shape: tuple[int, int, int]
) -> None:
    reference, prediction = (data.draw(arrays.arrays(np.bool_, shape)) for _ in range(2))
    found = surface_distances(reference, prediction, spacing_mm=SPACING_MM)
    if any(mask.all() or not mask.any() for mask in (reference, prediction)):
        assert found == UNDEFINED
    else:
        assert same(found, by_all_pairs(reference, prediction))


def few_and_many(seed: int) -> tuple[BoolArray, BoolArray]:
    """Two voxels in a wide image, and about half of its voxels."""
    few = np.zeros((11, 9, 8), dtype=np.bool_)
    few[0, 1, 2] = few[10, 7, 4] = True
    return few, np.random.default_rng(seed).random(few.shape) < 0.5


@pytest.mark.parametrize("seed", range(3))
def test_few_voxels_and_many_are_measured_alike(seed: int) -> None:
    few, many = few_and_many(seed)
    for a, b in ((few, few[::-1]), (few, many), (many, many[::-1])):
        assert same(surface_distances(a, b, spacing_mm=SPACING_MM), by_all_pairs(a, b))


@given(arrays.arrays(np.bool_, SHAPES))
def test_the_contour_has_a_face_neighbour_in_the_background(mask: BoolArray) -> None:
    np.testing.assert_array_equal(contour(mask), has_background_at_a_face(mask))


def test_the_edge_of_the_image_is_not_background() -> None:
    slab = np.zeros((4, 3, 2), dtype=np.bool_)
    slab[:2] = True  # at five of its six sides the image ends
    expected = np.zeros_like(slab)
    expected[1] = True
    np.testing.assert_array_equal(contour(slab), expected)


def test_the_spacing_of_each_axis_counts() -> None:
    reference = np.zeros((6, 6, 6), dtype=np.bool_)
    prediction = np.zeros((6, 6, 6), dtype=np.bool_)
    reference[1, 1, 1] = True
    prediction[5, 2, 3] = True  # 4 * 0.75 = 3, 1 * 2 = 2 and 2 * 1.5 = 3 mm: sqrt(9 + 4 + 9)
    found = surface_distances(reference, prediction, spacing_mm=SPACING_MM)
    far = 22**0.5
    assert same(
        found,
        SurfaceDistances(hausdorff_mm=far, hd95_mm=far, contour_mean_distance_mm=far, assd_mm=far),
    )


def test_hausdorff_sees_inside_where_contours_do_not() -> None:
    # a frame of 7 x 7 x 7 with walls of one voxel against the full block
    full = np.zeros((9, 9, 9), dtype=np.bool_)
    full[1:8, 1:8, 1:8] = True
    frame = full.copy()
    frame[2:7, 2:7, 2:7] = False
    found = surface_distances(full, frame, spacing_mm=(1.0, 2.0, 3.0))
    assert found.hausdorff_mm == 3.0  # from the centre to the wall along i
    # every wall voxel is contour of both: the block's outer shell
    assert (found.hd95_mm, found.contour_mean_distance_mm, found.assd_mm) == (0.0, 0.0, 0.0)


def test_of_two_directed_means_the_larger_one_counts() -> None:
    short, long = np.zeros((12, 3, 3), dtype=np.bool_), np.zeros((12, 3, 3), dtype=np.bool_)
    short[1, 1, 1] = True
    long[1:5, 1, 1] = True  # 0, 2, 4 and 6 mm from the one voxel: mean 3; back 0
    for a, b in ((short, long), (long, short)):
        found = surface_distances(a, b, spacing_mm=(2.0, 1.0, 1.0))
        assert found.contour_mean_distance_mm == 3.0
        assert found.assd_mm == 12 / 5
        assert found.hausdorff_mm == 6.0


@pytest.mark.parametrize("value", [False, True], ids=["no voxel", "every voxel"])
def test_against_a_mask_that_marks_nothing_every_distance_is_undefined(value: bool) -> None:
    some = np.zeros((3, 4, 2), dtype=np.bool_)
    some[1, 1, 0] = True
    nothing = np.full_like(some, value)
    assert surface_distances(some, nothing, spacing_mm=SPACING_MM) == UNDEFINED
    assert surface_distances(nothing, some, spacing_mm=SPACING_MM) == UNDEFINED
    assert surface_distances(nothing, nothing, spacing_mm=SPACING_MM) == UNDEFINED


def test_two_shapes_are_refused() -> None:
    a, b = np.zeros((3, 4, 2), dtype=np.bool_), np.zeros((4, 3, 2), dtype=np.bool_)
    with pytest.raises(GeometryError, match=r"want two masks with one shape.*\(4, 3, 2\)"):
        surface_distances(a, b, spacing_mm=SPACING_MM)


def test_a_spacing_that_cannot_be_is_refused() -> None:
    mask = np.zeros((3, 4, 2), dtype=np.bool_)
    with pytest.raises(GeometryError, match="spacing_mm: want three lengths above 0"):
        surface_distances(mask, mask, spacing_mm=(1.0, 0.0, 1.0))
