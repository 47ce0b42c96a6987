from __future__ import annotations

from math import cos, pi, sin

import numpy as np
import pytest

from common.errors import GeometryError
from common.metrics.lesion_table import LesionRow, lesion_rows
from common.metrics.presets import ISBI2015, MSSEG2016
from tests.crafted_masks import SPACING_MM, line, mask, one_of_3_missed_and_one_of_3_false
from tests.volumes import oblique_affine

ALONG_AXES = np.array(
    [
        [-1.0, 0.0, 0.0, 90.0],  # i runs to the left: towards -x
        [0.0, 0.5, 0.0, -20.0],
        [0.0, 0.0, 2.0, 10.0],
        [0.0, 0.0, 0.0, 1.0],
    ]
)


def test_each_lesion_of_both_masks_has_a_row_by_hand() -> None:
    # reference: 6 voxels, 5 of them found; and 4 that are missed. Prediction: 7 voxels, 5 shared
    reference = mask(line(2, 8, 1, 1), line(20, 24, 5, 3))
    prediction = mask(line(3, 10, 1, 1))
    assert lesion_rows(reference, prediction, affine=ALONG_AXES, definition=MSSEG2016) == [
        LesionRow(
            mask="reference",
            lesion=1,
            n_voxels=6,
            volume_mm3=6.0,
            centroid_mm=(90 - 4.5, -20 + 0.5, 10 + 2.0),  # i = 4.5, j = 1, k = 1
            detected=True,
            overlap=5 / 6,
        ),
        LesionRow(
            mask="reference",
            lesion=2,
            n_voxels=4,
            volume_mm3=4.0,
            centroid_mm=(90 - 21.5, -20 + 2.5, 10 + 6.0),  # i = 21.5, j = 5, k = 3
            detected=False,
            overlap=0.0,
        ),
        LesionRow(
            mask="prediction",
            lesion=1,
            n_voxels=7,
            volume_mm3=7.0,
            centroid_mm=(90 - 6.0, -20 + 0.5, 10 + 2.0),  # i = 6
            detected=True,
            overlap=5 / 7,
        ),
    ]


def test_centroids_follow_an_oblique_affine() -> None:
    # voxel (2.5, 1, 1): 30 degrees about k, then 20 about i; see `oblique_affine`
    affine = oblique_affine(SPACING_MM)
    [row, _] = lesion_rows(mask(line(1, 5)), mask(line(1, 5)), affine=affine, definition=MSSEG2016)
    x, y, z = 2.5 * 1.0, 1 * 0.5, 1 * 2.0
    a, b = pi / 6, pi / 9
    x, y = cos(a) * x - sin(a) * y, sin(a) * x + cos(a) * y
    y, z = cos(b) * y - sin(b) * z, sin(b) * y + cos(b) * z
    assert row.centroid_mm == pytest.approx((x - 61.5, y + 40.25, z + 17.0))
    assert row.volume_mm3 == pytest.approx(4.0)


def test_what_is_too_small_is_in_no_row_and_covers_nothing() -> None:
    pair = one_of_3_missed_and_one_of_3_false()
    rows = lesion_rows(pair.reference, pair.prediction, affine=ALONG_AXES, definition=MSSEG2016)
    assert [(row.mask, row.n_voxels) for row in rows] == [("reference", 4), ("prediction", 4)]
    # a prediction of 6 voxels over a component of 3
    [row] = lesion_rows(mask(line(0, 3)), mask(line(0, 6)), affine=ALONG_AXES, definition=MSSEG2016)
    assert (row.mask, row.overlap, row.detected) == ("prediction", 0.0, False)


def test_detected_follows_the_definition() -> None:
    reference, prediction = mask(line(0, 20)), mask(line(19, 39))  # 1 of 20 shared
    for definition, detected in ((MSSEG2016, False), (ISBI2015, True)):
        rows = lesion_rows(reference, prediction, affine=ALONG_AXES, definition=definition)
        assert [(row.detected, row.overlap) for row in rows] == [(detected, 1 / 20)] * 2


def test_without_a_lesion_there_is_no_row() -> None:
    assert lesion_rows(mask(), mask(), affine=ALONG_AXES, definition=MSSEG2016) == []


def test_two_shapes_are_refused() -> None:
    with pytest.raises(GeometryError, match="want two masks with one shape"):
        lesion_rows(mask(), mask()[:-1], affine=ALONG_AXES, definition=MSSEG2016)
