from __future__ import annotations

import socket

import numpy as np
import pytest
from nilearn.datasets import load_mni152_template
from scipy import ndimage
from scipy.spatial.transform import Rotation

from common.arrays import FloatArray
from common.imaging.preprocessing import rigid_registration
from common.imaging.preprocessing.mni_space import mni_grid, mni_registration
from common.imaging.preprocessing.rigid_registration import rigid_inverse
from common.imaging.volume import Volume
from tests.volumes import oblique_affine


def tilted_head() -> tuple[Volume, Volume, FloatArray]:
    """The template with another contrast, in slices of 5 mm, with noise around it; its brain; and
    its way to MNI space."""
    to_mni = np.eye(4)
    to_mni[:3, :3] = Rotation.from_euler("xyz", (-14, 4, 6), degrees=True).as_matrix()
    to_mni[:3, 3] = (5, -22, 30)
    shape = (70, 84, 36)
    affine = oblique_affine((2.6, 2.6, 5.0))
    middle = rigid_inverse(to_mni)[:3] @ (0, -18, 8, 1)
    affine[:3, 3] = middle - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    template = load_mni152_template(resolution=1)
    pull = np.linalg.inv(template.affine) @ to_mni @ affine
    seen = ndimage.affine_transform(
        template.get_fdata(), pull[:3, :3], pull[:3, 3], output_shape=shape, order=1
    )
    brain = seen > 0.2
    noise = np.random.default_rng(0).uniform(0, 30, shape)
    data = np.where(brain, 300 - 200 * seen + noise, noise).astype(np.float32)
    return Volume(data, affine), Volume(brain, affine), to_mni


@pytest.fixture
def few_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sixth of the points of comparison: the template has no bias field and little noise."""
    monkeypatch.setattr(rigid_registration, "N_SAMPLES", 10_000)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("asked for the network")

    monkeypatch.setattr(socket.socket, "connect", refused)


@pytest.mark.usefixtures("no_network")
def test_the_grid_is_the_one_of_the_bundled_template() -> None:
    grid = mni_grid()
    assert grid.shape == (197, 233, 189)
    np.testing.assert_array_equal(np.diag(grid.affine), 1)
    np.testing.assert_array_equal(grid.affine[:3, 3], (-98, -134, -72))


def off_by(found: FloatArray, to_mni: FloatArray) -> tuple[float, float]:
    """Degrees and mm between two moves, the mm at the template's origin."""
    apart = found @ rigid_inverse(to_mni)
    turn = Rotation.from_matrix(apart[:3, :3]).magnitude()
    return float(np.degrees(turn)), float(np.linalg.norm(apart[:3, 3]))


@pytest.mark.usefixtures("few_points")
def test_a_tilted_head_comes_upright_by_its_brain() -> None:
    image, brain, to_mni = tilted_head()
    degrees, mm = off_by(mni_registration(image, brain).matrix, to_mni)
    assert degrees < 1
    assert mm < 1


@pytest.mark.usefixtures("few_points")
def test_a_tilted_head_comes_upright_without_a_brain_mask_too() -> None:
    image, _, to_mni = tilted_head()
    found = mni_registration(image)
    degrees, mm = off_by(found.matrix, to_mni)
    assert degrees < 1
    assert mm < 1
    assert found.mutual_information > found.before
    assert found.doubts() == ()
