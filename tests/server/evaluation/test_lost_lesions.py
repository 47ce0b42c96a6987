from __future__ import annotations

import numpy as np
import pytest

from common.imaging.dataset.drawn_reference import DrawnReference
from common.imaging.grid import nearest_onto
from common.imaging.volume import Volume
from common.metrics.presets import ISBI2015, MSSEG2016
from server.evaluation.lost_lesions import n_lost_lesions
from tests.drawn import (
    SCANNER_SHAPE,
    SCANNER_SPACING_MM,
    drawn_lesions,
    move,
    prepared_affine,
    prepared_lesions,
)
from tests.volumes import oblique_affine


def drawn(lesions: np.ndarray[tuple[int, int, int], np.dtype[np.bool_]]) -> DrawnReference:
    return DrawnReference(Volume(lesions, oblique_affine(SCANNER_SPACING_MM)), move())


def test_the_lesion_between_the_prepared_voxels_is_lost_and_the_other_is_not() -> None:
    prepared = Volume(prepared_lesions(), prepared_affine())
    assert n_lost_lesions(drawn(drawn_lesions()), prepared, MSSEG2016) == 1


def test_without_a_voxel_in_the_prepared_reference_every_lesion_is_lost() -> None:
    empty = Volume(np.zeros_like(prepared_lesions()), prepared_affine())
    assert n_lost_lesions(drawn(drawn_lesions()), empty, MSSEG2016) == 2


def test_a_lesion_that_is_too_small_to_be_counted_is_not_counted_as_lost() -> None:
    """One voxel of 1 x 1 x 3 mm is not above 3 mm3; any voxel is a lesion for ISBI."""
    affine = oblique_affine((1.0, 1.0, 3.0))
    lesions = np.zeros(SCANNER_SHAPE, bool)
    lesions[3, 3, 1] = True
    one = DrawnReference(Volume(lesions, affine), move())
    empty = Volume(np.zeros_like(prepared_lesions()), prepared_affine())
    assert n_lost_lesions(one, empty, MSSEG2016) == 0
    assert n_lost_lesions(one, empty, ISBI2015) == 1


def test_a_neighbour_s_prepared_voxel_does_not_save_a_lesion() -> None:
    """Two lesions that touch at an edge are two by 6-connectivity; one has the prepared voxel."""
    lesions = np.zeros(SCANNER_SHAPE, bool)
    lesions[4, 4, 1] = True  # at 4 and 4 mm: prepared voxel (2, 2)
    lesions[5, 5, 1] = True  # at 5 and 5 mm: between prepared voxels
    prepared = np.zeros_like(prepared_lesions())
    prepared[2, 2, 2:5] = True
    assert n_lost_lesions(drawn(lesions), Volume(prepared, prepared_affine()), MSSEG2016) == 1


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_last_digits_of_a_header_lose_no_lesion(sign: int) -> None:
    """Prepared centres on the border of two scanner voxels: whichever the chain took, is found."""
    grid = prepared_affine()
    grid[:3, 3] = 0.5  # centres at 0.5, 2.5, .. mm
    lesions = drawn_lesions()
    taken = Volume(lesions, np.diag([*SCANNER_SPACING_MM, 1.0]))
    prepared = nearest_onto(Volume(np.zeros((12, 10, 12), bool), grid), taken)
    assert prepared.data.any()
    shifted = Volume(prepared.data, prepared.affine.copy())
    shifted.affine[:2, 3] += sign * 4e-6  # what float32 makes of 61.5 mm
    n_lost = n_lost_lesions(drawn(lesions), prepared, MSSEG2016)
    assert n_lost_lesions(drawn(lesions), shifted, MSSEG2016) == n_lost == 0
