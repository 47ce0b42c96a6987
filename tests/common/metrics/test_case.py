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

from common.errors import GeometryError
from common.metrics.case import CaseScore, score_case
from common.metrics.lesion import find_lesions, overlaps_of
from common.metrics.presets import MSSEG2016

BoolArray = NDArray[np.bool_]

SHAPE = (9, 7, 5)
SPACING_MM = (0.75, 2.0, 1.5)  # 2.25 mm3 a voxel: a lesion has 2 or more; exact in float32


def score(
    reference: NDArray[Any],
    prediction: NDArray[Any],
    spacing_mm: tuple[float, float, float] = SPACING_MM,
) -> CaseScore:
    return score_case(reference, prediction, spacing_mm=spacing_mm, definition=MSSEG2016)


@st.composite
def masks(draw: st.DrawFn) -> BoolArray:
    """Up to six boxes of up to 3 voxels a side, anywhere."""
    mask = np.zeros(SHAPE, dtype=np.bool_)
    for _ in range(draw(st.integers(0, 6))):
        corner = [draw(st.integers(0, n - 1)) for n in SHAPE]
        side = [draw(st.integers(1, 3)) for _ in SHAPE]
        mask[tuple(slice(c, c + s) for c, s in zip(corner, side, strict=True))] = True
    return mask


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


@given(masks(), masks())
def test_lesion_ppv_is_lesion_sensitivity_with_the_roles_exchanged(
    a: BoolArray, b: BoolArray
) -> None:
    assume(keeps_a_lesion(a) and keeps_a_lesion(b))
    there, back = score(a, b).metrics(), score(b, a).metrics()
    assert there["lesion_ppv"] == back["lesion_sensitivity"]
    assert there["lesion_f1"] == back["lesion_f1"]
    assert there["n_reference_lesions"] == back["n_predicted_lesions"]


@given(masks(), masks())
def test_dice_is_symmetric_and_ppv_is_sensitivity_with_the_roles_exchanged(
    a: BoolArray, b: BoolArray
) -> None:
    assume(a.any() and b.any())
    there, back = score(a, b).metrics(), score(b, a).metrics()
    assert there["dice"] == back["dice"]
    assert there["jaccard"] == back["jaccard"]
    assert there["ppv"] == back["sensitivity"]
    assert there["npv"] == back["specificity"]


@given(masks())
def test_a_mask_agrees_with_itself(mask: BoolArray) -> None:
    assume(keeps_a_lesion(mask))
    metrics = score(mask, mask).metrics()
    ones = {"dice", "jaccard", "sensitivity", "specificity", "ppv", "npv"}
    ones |= {"lesion_sensitivity", "lesion_ppv", "lesion_f1"}
    assert {name for name, value in metrics.items() if value == 1.0} >= ones
    assert metrics["relative_volume_error_pct"] == 0.0
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
    assume(not has_ties(a, b))
    flipped = tuple(axis for axis, flip in enumerate(flips) if flip)
    turned_a, turned_b = (np.flip(mask.transpose(axes), flipped) for mask in (a, b))
    i, j, k = (SPACING_MM[axis] for axis in axes)
    assert score(turned_a, turned_b, (i, j, k)).as_dict() == score(a, b).as_dict()


@settings(max_examples=200)
@given(
    arrays.arrays(np.int16, (4, 3, 3), elements=st.integers(-1, 2)),
    arrays.arrays(np.float32, (4, 3, 3), elements=st.integers(0, 1)),
)
def test_no_mask_makes_it_fail_and_every_metric_is_undefined_or_in_range(
    reference: NDArray[np.int16], prediction: NDArray[np.float32]
) -> None:
    scored = score(reference, prediction)
    json.dumps(scored.as_dict(), allow_nan=False)
    for name, value in scored.metrics().items():
        if value is None:
            continue
        top = 1 if name.split("_")[-1] not in ("lesions", "mm3", "pct") else math.inf
        bottom = -100 if name == "relative_volume_error_pct" else 0
        assert bottom <= value <= top, name


def test_a_case_by_hand() -> None:
    # 9 * 7 * 5 = 315 voxels; reference 8 and 1 voxels, prediction 6 of the 8 and 4 elsewhere
    reference = np.zeros(SHAPE, dtype=np.uint8)
    prediction = np.zeros(SHAPE, dtype=np.uint8)
    reference[0:8, 0, 0] = 1
    reference[0, 6, 4] = 1  # 2.25 mm3: no lesion
    prediction[2:8, 0, 0] = 255
    prediction[0:4, 3, 2] = 255
    assert score(reference, prediction).as_dict() == {
        "dice": 12 / 19,
        "jaccard": 6 / 13,
        "sensitivity": 6 / 9,
        "specificity": 302 / 306,
        "ppv": 6 / 10,
        "npv": 302 / 305,
        "relative_volume_error_pct": 100 / 9,
        "lesion_sensitivity": 1 / 1,
        "lesion_ppv": 1 / 2,
        "lesion_f1": 1 / 1.5,
        "n_reference_lesions": 1,
        "n_predicted_lesions": 2,
        "reference_volume_mm3": 18.0,  # 8 * 2.25
        "predicted_volume_mm3": 22.5,  # 10 * 2.25
        "definition": MSSEG2016.as_dict(),
        "notes": [],
    }


def test_of_an_empty_reference_only_the_false_lesions_are_told() -> None:
    prediction = np.zeros(SHAPE, dtype=np.uint8)
    prediction[0:4, 0, 0] = 1
    prediction[8, 6, 4] = 1  # too small
    told = {
        name: value
        for name, value in score(np.zeros(SHAPE), prediction).metrics().items()
        if value is not None
    }
    assert told == {"n_predicted_lesions": 1, "predicted_volume_mm3": 9.0}


def test_of_an_empty_prediction_ppv_is_undefined_and_the_rest_0() -> None:
    reference = np.zeros(SHAPE, dtype=np.uint8)
    reference[0:4, 0, 0] = 1
    metrics = score(reference, np.zeros(SHAPE)).metrics()
    zeros = ["dice", "jaccard", "sensitivity", "lesion_sensitivity", "lesion_ppv", "lesion_f1"]
    assert [metrics[name] for name in zeros] == [0.0] * 6
    assert metrics["ppv"] is None
    assert (metrics["n_predicted_lesions"], metrics["predicted_volume_mm3"]) == (0, 0.0)


def test_a_prediction_of_one_value_everywhere_counts_as_empty() -> None:
    reference = np.zeros(SHAPE, dtype=np.uint8)
    reference[0:4, 0, 0] = 1
    scored = score(reference, np.ones(SHAPE))
    assert scored.metrics() == score(reference, np.zeros(SHAPE)).metrics()
    assert scored.notes == (
        "prediction: lesion in every voxel, which marks nothing; counted as empty",
    )


def test_the_notes_of_both_images_come_together() -> None:
    reference = np.zeros(SHAPE, dtype=np.uint8)
    reference[0:4, 0, 0] = (1, 1, 2, 2)
    prediction = np.zeros(SHAPE, dtype=np.float32)
    prediction[0:4, 0, 0] = 0.75
    scored = score_case(
        reference, prediction, spacing_mm=SPACING_MM, definition=MSSEG2016, threshold=0.5
    )
    assert scored.notes == (
        "reference: 2 labels (1, 2) taken together as lesion",
        "prediction: a probability map; lesion is above 0.5",
    )
    assert scored.metrics()["dice"] == 1.0


@pytest.mark.parametrize(
    ("reference", "prediction"),
    [((4, 3, 2), (2, 3, 4)), ((4, 3, 2), (4, 3, 2, 2)), ((4, 3), (4, 3))],
)
def test_arrays_that_are_not_one_grid_of_three_axes_are_refused(
    reference: tuple[int, ...], prediction: tuple[int, ...]
) -> None:
    with pytest.raises(GeometryError, match="want reference and prediction with one shape"):
        score(np.zeros(reference), np.zeros(prediction))
