"""What holds for every pair of masks."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from common.arrays import BoolArray
from common.metrics.case import CaseScore, score_case
from common.metrics.components import find_lesions
from common.metrics.detection import overlaps_of
from common.metrics.lesion_table import lesion_rows
from common.metrics.mask import lesion_mask
from common.metrics.presets import MSSEG2016, PRESETS, LesionDefinition
from common.metrics.size_classes import by_size
from common.metrics.surface import surface_distances

SHAPE = (9, 7, 5)
SPACING_MM = (0.75, 2.0, 1.5)  # 2.25 mm3 a voxel: a lesion has 2 or more; exact in float32

DISTANCES = ("hausdorff_mm", "hd95_mm", "contour_mean_distance_mm", "assd_mm")
DEFINITIONS = st.sampled_from(list(PRESETS.values()))


def score(
    reference: NDArray[Any],
    prediction: NDArray[Any],
    spacing_mm: tuple[float, float, float] = SPACING_MM,
    definition: LesionDefinition = MSSEG2016,
) -> CaseScore:
    return score_case(
        reference, prediction, spacing_mm=spacing_mm, definition=definition, threshold=0.5
    )


@st.composite
def masks(draw: st.DrawFn) -> BoolArray:
    """Up to six boxes of up to 3 voxels a side, anywhere."""
    mask = np.zeros(SHAPE, dtype=np.bool_)
    for _ in range(draw(st.integers(0, 6))):
        corner = [draw(st.integers(0, n - 1)) for n in SHAPE]
        side = [draw(st.integers(1, 3)) for _ in SHAPE]
        mask[tuple(slice(c, c + s) for c, s in zip(corner, side, strict=True))] = True
    return mask


@st.composite
def fuzzed_images(draw: st.DrawFn, shape: tuple[int, ...]) -> NDArray[Any]:
    """Labels of any type, many of them 0, or any finite numbers."""
    kinds = (
        arrays.boolean_dtypes(),
        arrays.integer_dtypes(),
        arrays.unsigned_integer_dtypes(),
        arrays.floating_dtypes(),
    )
    dtype = draw(st.one_of(*kinds))
    if draw(st.booleans()):
        few = arrays.arrays(np.int8, shape, elements=st.sampled_from([0, 0, 0, 1, 2]))
        return draw(few).astype(dtype)
    finite = {"allow_nan": False, "allow_infinity": False}
    return draw(arrays.arrays(dtype, shape, elements=finite))


@st.composite
def fuzzed_pairs(draw: st.DrawFn) -> tuple[NDArray[Any], NDArray[Any]]:
    """Two images of one shape, as thin as 1 x 1 x n."""
    shape = draw(arrays.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=5))
    return draw(fuzzed_images(shape)), draw(fuzzed_images(shape))


def keeps_a_lesion(mask: BoolArray) -> bool:
    return len(find_lesions(mask, spacing_mm=SPACING_MM, definition=MSSEG2016)) > 0


def has_ties(a: BoolArray, b: BoolArray) -> bool:
    """Whether a lesion of either mask shares as many voxels with one lesion as with another."""
    overlaps = overlaps_of(
        find_lesions(a, spacing_mm=SPACING_MM, definition=MSSEG2016),
        find_lesions(b, spacing_mm=SPACING_MM, definition=MSSEG2016),
    )
    return any(
        len(set(pairs)) < len(pairs)
        for pairs in (
            list(zip(overlaps.own, overlaps.shared, strict=True)),
            list(zip(overlaps.other, overlaps.shared, strict=True)),
        )
    )


@given(masks(), masks(), DEFINITIONS)
def test_lesion_ppv_is_lesion_sensitivity_with_the_roles_exchanged(
    a: BoolArray, b: BoolArray, definition: LesionDefinition
) -> None:
    assume(keeps_a_lesion(a) and keeps_a_lesion(b))
    there = score(a, b, definition=definition).metrics()
    back = score(b, a, definition=definition).metrics()
    assert there["lesion_ppv"] == back["lesion_sensitivity"]
    assert there["lesion_f1"] == back["lesion_f1"]
    assert there["n_reference_lesions"] == back["n_predicted_lesions"]
    assert there["lfpr"] == pytest.approx(1 - float(back["ltpr"] or 0))


@given(masks(), masks())
def test_dice_and_distances_are_symmetric_and_ppv_is_sensitivity_with_the_roles_exchanged(
    a: BoolArray, b: BoolArray
) -> None:
    assume(a.any() and b.any())
    there, back = score(a, b).metrics(), score(b, a).metrics()
    assert there["dice"] == back["dice"]
    assert there["jaccard"] == back["jaccard"]
    assert there["ppv"] == back["sensitivity"]
    assert there["npv"] == back["specificity"]
    for name in DISTANCES:
        assert there[name] == pytest.approx(back[name], rel=1e-12)


@given(masks(), DEFINITIONS)
def test_a_mask_agrees_with_itself(mask: BoolArray, definition: LesionDefinition) -> None:
    assume(keeps_a_lesion(mask))
    metrics = score(mask, mask, definition=definition).metrics()
    ones = {"dice", "jaccard", "sensitivity", "specificity", "ppv", "npv"}
    ones |= {"lesion_sensitivity", "lesion_ppv", "lesion_f1", "ltpr"}
    assert {name: metrics[name] for name in ones} == dict.fromkeys(ones, 1.0)
    zeros = {"relative_volume_error_pct", "lfpr", "fp_voxels", "fn_voxels", *DISTANCES}
    assert {name: metrics[name] for name in zeros} == dict.fromkeys(zeros, 0.0)
    assert metrics["reference_volume_mm3"] == metrics["predicted_volume_mm3"]


@given(
    masks(),
    masks(),
    st.permutations(range(3)),
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
def test_flipping_and_permuting_the_axes_with_their_spacing_changes_nothing(
    a: BoolArray, b: BoolArray, axes: list[int], flips: tuple[bool, bool, bool]
) -> None:
    assume(keeps_a_lesion(a) and keeps_a_lesion(b))
    assume(not has_ties(a, b))
    flipped = tuple(axis for axis, flip in enumerate(flips) if flip)
    turned_a, turned_b = (np.flip(mask.transpose(axes), flipped) for mask in (a, b))
    i, j, k = (SPACING_MM[axis] for axis in axes)
    turned, straight = score(turned_a, turned_b, (i, j, k)).metrics(), score(a, b).metrics()
    for name in DISTANCES:  # sums in another order
        assert turned.pop(name) == pytest.approx(straight.pop(name), rel=1e-12)
    assert turned == straight


@given(masks(), st.integers(0, 2), st.sampled_from([-1, 1]))
def test_a_mask_moved_by_one_voxel_is_one_spacing_away(
    mask: BoolArray, axis: int, step: int
) -> None:
    assume(mask.any())
    wide = np.pad(mask, 2)
    found = surface_distances(wide, np.roll(wide, step, axis), spacing_mm=SPACING_MM)
    # its foremost voxel has nothing nearer than itself moved, and no voxel has that farther
    assert found.hausdorff_mm == pytest.approx(SPACING_MM[axis], rel=1e-12)
    for distance_mm in (found.hd95_mm, found.contour_mean_distance_mm, found.assd_mm):
        assert distance_mm is not None
        assert 0 <= distance_mm <= SPACING_MM[axis] * (1 + 1e-12)


@given(st.integers(1, 6), st.integers(0, 2))
def test_a_line_moved_along_itself_is_off_by_its_last_voxel_only(length: int, axis: int) -> None:
    mask = np.zeros((10, 10, 10), dtype=np.bool_)
    mask[tuple(slice(2, 2 + length) if a == axis else slice(4, 5) for a in range(3))] = True
    found = surface_distances(mask, np.roll(mask, 1, axis), spacing_mm=SPACING_MM)
    # one voxel of `length` lies one spacing away, either way
    expected = pytest.approx(SPACING_MM[axis] / length)
    assert found.contour_mean_distance_mm == expected
    assert found.assd_mm == expected


@settings(max_examples=300)
@given(fuzzed_pairs(), DEFINITIONS)
def test_no_image_makes_it_fail_and_every_metric_is_undefined_or_in_range(
    pair: tuple[NDArray[Any], NDArray[Any]], definition: LesionDefinition
) -> None:
    scored = score(*pair, definition=definition)
    json.dumps(scored.as_dict(), allow_nan=False)
    for name, value in scored.metrics().items():
        if value is None:
            continue
        kind = name.split("_")[-1]
        top = 1 if kind not in ("lesions", "mm3", "mm", "pct", "voxels") else math.inf
        bottom = -100 if name == "relative_volume_error_pct" else 0
        assert bottom <= value <= top, name


@settings(max_examples=200)
@given(fuzzed_pairs(), DEFINITIONS)
def test_the_table_of_lesions_adds_up_to_the_counts(
    pair: tuple[NDArray[Any], NDArray[Any]], definition: LesionDefinition
) -> None:
    counts = score(*pair, definition=definition).lesions
    truth, found = (lesion_mask(image, name="image", threshold=0.5)[0] for image in pair)
    rows = lesion_rows(truth, found, affine=np.diag((*SPACING_MM, 1.0)), definition=definition)
    sizes = by_size(rows)
    assert sum(size.n_reference for size in sizes) == counts.n_reference
    assert sum(size.n_detected for size in sizes) == counts.n_detected
    assert sum(size.n_predicted for size in sizes) == counts.n_predicted
    assert sum(size.n_confirmed for size in sizes) == counts.n_confirmed
    assert counts.n_touched == sum(row.overlap > 0 for row in rows if row.mask == "reference")
    assert counts.n_untouching == sum(row.overlap == 0 for row in rows if row.mask == "prediction")
    volume_mm3 = sum(row.volume_mm3 for row in rows if row.mask == "prediction")
    assert volume_mm3 == pytest.approx(counts.predicted_volume_mm3)
