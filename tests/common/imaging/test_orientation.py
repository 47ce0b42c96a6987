from __future__ import annotations

import numpy as np

from common.imaging.orientation import orientation_of, upright
from common.imaging.volume import Volume
from tests.volumes import oblique_affine


def test_upright_turns_axes_and_leaves_every_voxel_where_it_was() -> None:
    swap = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 9], [0, -1, 0, 7], [0, 0, 0, 1]])
    image = Volume(np.arange(60).reshape(3, 4, 5), oblique_affine() @ swap)
    assert orientation_of(image) == "PIR"
    turned = upright(image)
    assert orientation_of(turned) == "RAS"
    assert turned.data.shape == (5, 3, 4)
    for volume in (image, turned):
        place = np.argwhere(volume.data == 23)[0]
        np.testing.assert_allclose(volume.affine[:3, :3] @ place + volume.affine[:3, 3], _of_23())


def _of_23() -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """23 = 1 x 20 + 0 x 5 + 3 lies at (1, 0, 3); swapped: (3, -1 + 9, 0 + 7)."""
    return np.asarray((oblique_affine() @ (3, 8, 7, 1))[:3])
