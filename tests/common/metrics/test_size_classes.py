from __future__ import annotations

import math

import numpy as np
import pytest

from common.metrics.lesion_table import LesionRow, Mask
from common.metrics.size_classes import SizeClass, by_size


def row(mask: Mask, volume_mm3: float, *, detected: bool) -> LesionRow:
    return LesionRow(
        mask=mask,
        lesion=1,
        n_voxels=1,
        volume_mm3=volume_mm3,
        centroid_mm=(0.0, 0.0, 0.0),
        detected=detected,
        overlap=0.0,
    )


def test_lesions_of_several_cases_are_counted_by_their_own_size() -> None:
    rows = [
        row("reference", 4.0, detected=False),
        row("reference", 9.0, detected=True),
        row("reference", 9.5, detected=False),
        row("reference", 60.0, detected=True),
        row("prediction", 20.0, detected=True),
        row("prediction", 49.0, detected=False),
        row("prediction", 700.0, detected=True),
    ]
    small, low, middle, high, large = by_size(rows)
    assert small == SizeClass(
        low_mm3=0.0, high_mm3=10.0, n_reference=3, n_detected=1, n_predicted=0, n_confirmed=0
    )
    assert (small.sensitivity, small.ppv) == (1 / 3, None)
    assert (low.n_predicted, low.n_confirmed, low.sensitivity, low.ppv) == (2, 1, None, 1 / 2)
    assert (middle.n_reference, middle.sensitivity) == (1, 1.0)
    assert (high.n_reference, high.n_predicted) == (0, 0)
    assert (large.low_mm3, large.high_mm3, large.ppv) == (500.0, math.inf, 1.0)


@pytest.mark.parametrize(
    ("volume_mm3", "label"),
    [
        (3.5, "<= 10"),
        (10.0, "<= 10"),
        (10.5, "10-50"),
        (50.0, "10-50"),
        (50.5, "50-100"),
        (100.0, "50-100"),
        (500.0, "100-500"),
        (500.5, "> 500"),
    ],
)
def test_the_upper_end_belongs_to_a_class(volume_mm3: float, label: str) -> None:
    sizes = by_size([row("reference", volume_mm3, detected=True)])
    [size] = [size for size in sizes if size.n_reference]
    assert size.label == label


def test_a_header_that_rounds_does_not_move_a_lesion_to_the_next_class() -> None:
    # 10 voxels of 1 x 1 x 1.0000001 mm, as an oblique affine in float32 may have it
    above = float(np.float32(1 + 1e-7)) * 10
    assert above > 10
    assert by_size([row("prediction", above, detected=False)])[0].n_predicted == 1


def test_without_lesions_every_class_is_there_and_undefined() -> None:
    sizes = by_size([])
    assert [size.label for size in sizes] == ["<= 10", "10-50", "50-100", "100-500", "> 500"]
    assert {size.sensitivity for size in sizes} == {None}
    assert {size.ppv for size in sizes} == {None}
