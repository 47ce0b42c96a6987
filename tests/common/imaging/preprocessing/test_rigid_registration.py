from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from common.arrays import FloatArray
from common.errors import SiteDataError
from common.imaging.preprocessing import rigid_registration
from common.imaging.preprocessing.rigid_registration import (
    RigidMove,
    rigid_inverse,
    rigid_move,
)
from common.imaging.volume import Volume, read_volume
from tests.volumes import oblique_affine

SITES = Path(__file__).parents[4] / ".." / "shared" / "data" / "sites"


@pytest.fixture
def few_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """An eighth of the points of comparison: a smooth head in little noise needs no more."""
    monkeypatch.setattr(rigid_registration, "N_SAMPLES", 8_000)


BLOBS = (
    ((0, 0, 0), (62, 78, 60), 60.0),
    ((28, 22, 12), (16, 20, 14), 50.0),
    ((-25, -30, 5), (20, 14, 18), -45.0),
    ((5, 45, -20), (14, 18, 10), 70.0),
    ((-30, 25, 30), (12, 10, 12), 40.0),
    ((10, -50, 25), (18, 12, 14), 55.0),
)
"""Centre and width in mm and height of the parts of a head without any symmetry."""


def head(points_mm: FloatArray) -> FloatArray:
    """Grey values of the head at world points, (..., 3) -> (...)."""
    value = np.zeros(points_mm.shape[:-1])
    for centre, width, height in BLOBS:
        away = (points_mm - centre) / width
        value += height * np.exp(-0.5 * np.sum(away**4, axis=-1))
    return value


def scanned(
    shape: tuple[int, int, int],
    spacing_mm: tuple[float, float, float],
    *,
    move: FloatArray | None = None,
    contrast: tuple[float, float] = (1.0, 0.0),
    seed: int = 0,
) -> Volume:
    """The head on an oblique grid around it, moved by `move` in the scanner, with noise.

    contrast   factor and offset of the grey values
    """
    affine = oblique_affine(spacing_mm)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    world = index @ affine[:3, :3].T + affine[:3, 3]
    back = rigid_inverse(np.eye(4) if move is None else move)
    values = contrast[0] * head(world @ back[:3, :3].T + back[:3, 3]) + contrast[1]
    noise = np.random.default_rng(seed).normal(0, 1, shape)
    return Volume((values + noise).astype(np.float32), affine)


def turned(degrees: tuple[float, float, float], shift: tuple[float, float, float]) -> FloatArray:
    move = np.eye(4)
    move[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    move[:3, 3] = shift
    return move


def farthest_mm(found: FloatArray, true: FloatArray) -> float:
    """How far from its place `found` leaves a point of the fixed head, at most: 70 mm around it."""
    ends = 70 * np.concatenate([np.eye(3), -np.eye(3)])
    apart = found @ rigid_inverse(true) - np.eye(4)
    return float(np.linalg.norm(ends @ apart[:3, :3].T + apart[:3, 3], axis=1).max())


def first_date() -> Volume:
    return scanned((64, 76, 26), (2.8, 2.6, 6.0))


@pytest.mark.usefixtures("few_points")
@pytest.mark.parametrize(
    "move",
    [
        pytest.param(turned((2, -3, 4), (3, -4, 2)), id="a little"),
        pytest.param(turned((-12, 8, 15), (25, -18, 12)), id="far"),
    ],
)
def test_the_way_back_of_a_known_move_is_found_across_contrasts_and_grids(
    move: FloatArray,
) -> None:
    # the moving image shows the head at move @ x, so moving world -> fixed world is its inverse
    moving = scanned((60, 60, 40), (3.0, 3.2, 4.0), move=move, contrast=(-0.7, 150.0), seed=1)
    found = rigid_move(first_date(), moving)
    assert farthest_mm(found.matrix, rigid_inverse(move)) < 0.6
    assert found.doubts() == ()
    turn = Rotation.from_matrix(move[:3, :3]).magnitude()
    assert found.turn_degrees == pytest.approx(np.degrees(turn), abs=0.4)
    assert found.mutual_information >= 0.99 * found.before


@pytest.mark.usefixtures("few_points")
def test_a_header_that_puts_the_head_a_metre_away_is_overcome() -> None:
    moving = scanned((60, 60, 40), (3.0, 3.2, 4.0), seed=1)
    away = moving.affine.copy()
    away[:3, 3] += (600, -500, 700)
    found = rigid_move(first_date(), Volume(moving.data, away))
    expected = np.eye(4)
    expected[:3, 3] = (-600, 500, -700)
    assert farthest_mm(found.matrix, expected) < 0.6
    assert found.before == 0  # nothing overlapped
    # sqrt(600² + 500² + 700²) = 1048.8
    assert found.shift_mm == pytest.approx(1048.8, abs=1)
    [doubt] = found.doubts()
    assert "shifted by 1049 mm" in doubt


@pytest.mark.usefixtures("few_points")
def test_a_smaller_field_of_view_is_no_obstacle() -> None:
    move = turned((4, 3, -5), (4, -6, 5))
    moving = scanned((60, 60, 14), (3.0, 3.2, 6.0), move=move, seed=1)  # 84 of 156 mm
    found = rigid_move(first_date(), moving)
    assert farthest_mm(found.matrix, rigid_inverse(move)) < 1.0
    assert 0.3 < found.overlap < 0.7


@pytest.mark.usefixtures("few_points")
def test_a_mask_leaves_out_what_moved_on_its_own() -> None:
    fixed, moving = first_date(), scanned((60, 60, 40), (3.0, 3.2, 4.0), seed=1)
    index = np.stack(np.meshgrid(*map(np.arange, fixed.data.shape), indexing="ij"), axis=-1)
    world = index @ fixed.affine[:3, :3].T + fixed.affine[:3, 3]
    inside = np.sum((world / (60, 75, 58)) ** 2, axis=-1) < 1
    scrambled = np.where(inside, fixed.data, fixed.data[::-1, ::-1, ::-1]).astype(np.float32)
    found = rigid_move(
        Volume(scrambled, fixed.affine), moving, fixed_mask=Volume(inside, fixed.affine)
    )
    assert farthest_mm(found.matrix, np.eye(4)) < 0.6


@pytest.mark.usefixtures("few_points")
def test_the_same_images_give_the_same_bits_and_another_seed_nearly_the_same_move() -> None:
    move = turned((2, -3, 4), (3, -4, 2))
    moving = scanned((30, 30, 20), (6.0, 6.4, 8.0), move=move, seed=1)
    once, again = (rigid_move(first_date(), moving, seed=3) for _ in range(2))
    np.testing.assert_array_equal(once.matrix, again.matrix)
    assert once.mutual_information == again.mutual_information
    other = rigid_move(first_date(), moving, seed=4)
    assert not np.array_equal(other.matrix, once.matrix)
    assert farthest_mm(other.matrix, once.matrix) < 0.6


@pytest.mark.usefixtures("few_points")
def test_the_images_are_left_as_they_were() -> None:
    fixed, moving = first_date(), scanned((30, 30, 20), (6.0, 6.4, 8.0), seed=1)
    before = fixed.data.copy(), moving.data.copy()
    rigid_move(fixed, moving)
    np.testing.assert_array_equal(fixed.data, before[0])
    np.testing.assert_array_equal(moving.data, before[1])


@pytest.mark.usefixtures("few_points")
def test_the_move_found_is_rigid() -> None:
    moving = scanned((30, 30, 20), (6.0, 6.4, 8.0), move=turned((5, 5, 5), (5, 5, 5)), seed=1)
    matrix = rigid_move(first_date(), moving).matrix
    np.testing.assert_allclose(matrix[:3, :3].T @ matrix[:3, :3], np.eye(3), atol=1e-9)
    np.testing.assert_array_equal(matrix[3], (0, 0, 0, 1))


def test_an_image_of_one_value_is_refused() -> None:
    flat = Volume(np.full((20, 20, 20), 3, np.float32), oblique_affine((8.0, 8.0, 8.0)))
    with pytest.raises(SiteDataError, match="one value only") as caught:
        rigid_move(first_date(), flat)
    assert caught.value.code == "registration"


def test_an_empty_mask_is_refused() -> None:
    fixed = first_date()
    empty = Volume(np.zeros(fixed.data.shape, bool), fixed.affine)
    with pytest.raises(SiteDataError, match="found it empty"):
        rigid_move(fixed, fixed, fixed_mask=empty)


def made(**changed: float) -> RigidMove:
    figures = {
        "mutual_information": 0.8,
        "before": 0.5,
        "overlap": 0.9,
        "shift_mm": 20.0,
        "turn_degrees": 5.0,
    }
    return RigidMove(matrix=np.eye(4), **(figures | changed))


def test_a_move_that_made_it_worse_is_a_doubt_with_both_figures() -> None:
    [doubt] = made(before=0.9).doubts()
    assert "agree worse (mutual information 0.900 before, 0.800 after)" in doubt


def test_a_move_the_points_cannot_tell_from_none_is_no_doubt() -> None:
    assert made(before=0.8001).doubts() == ()


def test_a_head_cannot_have_moved_so_far_within_one_session() -> None:
    assert made().doubts() == ()
    doubts = made().doubts(max_shift_mm=15, max_turn_degrees=4)
    assert doubts == ("shifted by 20 mm, more than 15", "turned by 5 degrees, over 4")


@given(
    st.tuples(*[st.floats(-180, 180)] * 3),
    st.tuples(*[st.floats(-1000, 1000)] * 3),
)
def test_a_rigid_move_and_its_way_back_are_no_move(
    degrees: tuple[float, float, float], shift: tuple[float, float, float]
) -> None:
    move = turned(degrees, shift)
    np.testing.assert_allclose(rigid_inverse(move) @ move, np.eye(4), atol=1e-9)
    np.testing.assert_allclose(rigid_inverse(move), np.linalg.inv(move), atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("subject", ["sub-LJLG01", "sub-LJLG19"])
def test_a_real_flair_knocked_over_comes_to_rest_where_its_header_puts_it(subject: str) -> None:
    folder = SITES / "ljubljana-long" / subject / "ses-02" / "anat"
    if not folder.is_dir():
        pytest.skip("the real volumes are not here")
    t1w = read_volume(folder / f"{subject}_ses-02_T1w.nii.gz")
    flair = read_volume(folder / f"{subject}_ses-02_FLAIR.nii.gz")
    knock = turned((15, -10, 8), (20, -30, 40))
    upright = rigid_move(t1w, flair)
    knocked = rigid_move(t1w, Volume(flair.data, knock @ flair.affine))
    assert farthest_mm(knocked.matrix @ knock, upright.matrix) < 0.7
