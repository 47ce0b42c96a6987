from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.arrays import Float32Array
from common.errors import SiteDataError
from common.imaging.dataset.prepared import PreparedCase
from common.imaging.dataset.where_drawn import FoundInCase, where_drawn
from tests.drawn import (
    PREPARED_SHAPE,
    SCANNER_SHAPE,
    drawn_lesions,
    move,
    prepared_case,
    write_drawn,
)


def perfect(case: PreparedCase) -> Float32Array:
    assert case.lesions is not None
    return case.lesions.astype(np.float32)


def test_a_case_without_such_a_reference_stays_where_it_is() -> None:
    case = prepared_case(None)
    found = FoundInCase(case, perfect(case))
    assert where_drawn(found) is found
    assert found.grid == "prepared"


def test_the_probability_is_interpolated_onto_the_grid_of_the_drawn_reference(
    tmp_path: Path,
) -> None:
    """Scanner voxel (i, j, k) lies at prepared voxel (i / 2, j / 2, 3 k).

    The lesion fills prepared voxels 2 and 3 along i and j, and 2 to 4 along k. So at k = 1, which
    is prepared 3, the probability along i is 0.5 at 3 (prepared 1.5), 1 at 4, 5 and 6, and 0.5 at
    7; at k = 0 and 2, which are prepared 0 and 6, it is 0.
    """
    case = prepared_case(write_drawn(tmp_path))
    judged = where_drawn(FoundInCase(case, perfect(case)))
    assert judged.grid == "scanner"
    assert judged.case.grid_shape == SCANNER_SHAPE
    whole = judged.case.on_file_grid(judged.probability).data
    along = np.zeros(20)
    along[3:8] = (0.5, 1, 1, 1, 0.5)
    np.testing.assert_allclose(whole[:, :, 1], np.outer(along, along[:16]), atol=1e-5)
    assert whole[:, :, (0, 2, 3)].max() < 1e-5
    assert judged.case.lesions is not None
    np.testing.assert_array_equal(
        judged.case.on_file_grid(judged.case.lesions).data, drawn_lesions()
    )


def test_images_go_along_so_that_the_case_can_be_drawn_there(tmp_path: Path) -> None:
    """The image of the crop is 3 wherever its brain is, which goes to the nearest voxel.

    The crop holds prepared voxels 1 to 9 along i: 1.5 to 18.99 mm inside both, so 3 at 4 mm.
    """
    case = prepared_case(write_drawn(tmp_path))
    own = where_drawn(FoundInCase(case, perfect(case))).case
    image = own.on_file_grid(own.image[0]).data
    brain = own.on_file_grid(own.brain).data
    assert image[4, 4, 1] == pytest.approx(3, abs=1e-5)
    assert brain[4, 4, 1]
    assert not brain[0, 4, 1]  # prepared voxel 0 lies before the crop
    assert brain[2:19, 2:15, 1:3].all()


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
@pytest.mark.parametrize("mirrored", [False, True])
def test_the_storage_order_of_the_prepared_case_does_not_matter(
    tmp_path: Path, axes: tuple[int, int, int], mirrored: bool
) -> None:
    """The same case with its axes exchanged, and the first one reversed, in the same world."""
    case = prepared_case(write_drawn(tmp_path))
    turned = np.eye(4)[:, [*axes, 3]]
    start, crop = np.array(case.crop_start)[list(axes)], np.array(case.brain.shape)[list(axes)]
    shape = np.array(PREPARED_SHAPE)[list(axes)]
    affine = case.affine @ turned
    lesions, brain = case.lesions, case.brain
    assert lesions is not None
    lesions, brain = lesions.transpose(axes), brain.transpose(axes)
    if mirrored:
        flip = np.diag([-1.0, 1, 1, 1])
        flip[0, 3] = shape[0] - 1
        affine = affine @ flip
        lesions, brain = lesions[::-1], brain[::-1]
        start[0] = shape[0] - start[0] - crop[0]
    other = PreparedCase(
        subject="sub-01",
        session=None,
        control=False,
        image=np.full((1, *crop), 3, np.float32),
        brain=brain,
        lesions=lesions,
        crop_start=(int(start[0]), int(start[1]), int(start[2])),
        grid_shape=(int(shape[0]), int(shape[1]), int(shape[2])),
        affine=affine,
        drawn_reference=case.drawn_reference,
    )
    one, two = (where_drawn(FoundInCase(c, perfect(c))) for c in (case, other))
    np.testing.assert_allclose(
        one.case.on_file_grid(one.probability).data,
        two.case.on_file_grid(two.probability).data,
        atol=1e-6,
    )


def test_a_brain_that_does_not_come_to_lie_on_the_reference_s_grid_is_refused(
    tmp_path: Path,
) -> None:
    """With the move of somebody 300 mm elsewhere every figure would be 0, and nobody would know."""
    far = move()
    far[0, 3] += 300
    case = prepared_case(write_drawn(tmp_path, to_common=far))
    with pytest.raises(SiteDataError, match="sub-01: want the brain on the grid of the reference"):
        where_drawn(FoundInCase(case, perfect(case)))
