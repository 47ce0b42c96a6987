from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from common.arrays import FloatArray
from common.errors import GeometryError
from common.imaging.preprocessing.halfway_space import halfway
from common.imaging.preprocessing.rigid_registration import rigid_inverse


def move(axis_angle_degrees: tuple[float, float, float], shift: FloatArray) -> FloatArray:
    whole = np.eye(4)
    whole[:3, :3] = Rotation.from_rotvec(axis_angle_degrees, degrees=True).as_matrix()
    whole[:3, 3] = shift
    return whole


components = st.floats(-100, 100)
moves = st.builds(
    move,
    st.tuples(components, components, components).filter(lambda v: np.linalg.norm(v) < 170),
    st.tuples(components, components, components).map(np.array),
)


def test_half_of_a_quarter_turn_about_z_with_a_shift_is_worked_by_hand() -> None:
    # x' = -y + 2, y' = x, z' = z + 3. The point that stays: x = -y + 2, y = x: (1, 1).
    # Halfway: 45 degrees about (1, 1) and 1.5 up. With c = cos 45 = sin 45, 0 goes to
    # (1, 1) + c (-1 + 1, -1 - 1) = (1, 1 - 2 c)
    quarter = np.array([[0, -1, 0, 2], [1, 0, 0, 0], [0, 0, 1, 3], [0, 0, 0, 1.0]])
    first, second = halfway(quarter)
    c = np.sqrt(0.5)
    expected = [[c, -c, 0, 1], [c, c, 0, 1 - 2 * c], [0, 0, 1, 1.5], [0, 0, 0, 1]]
    np.testing.assert_allclose(first, expected, atol=1e-14)
    np.testing.assert_allclose(second @ first, np.eye(4), atol=1e-14)


def test_a_pure_shift_is_cut_in_two() -> None:
    first, second = halfway(move((0, 0, 0), np.array([4.0, -2.0, 7.0])))
    np.testing.assert_allclose(first[:3, 3], [2, -1, 3.5])
    np.testing.assert_allclose(second[:3, 3], [-2, 1, -3.5])


@given(moves)
def test_both_halves_make_the_whole(whole: FloatArray) -> None:
    first, second = halfway(whole)
    np.testing.assert_allclose(first @ first, whole, atol=1e-9)
    np.testing.assert_allclose(np.linalg.inv(second) @ first, whole, atol=1e-9)


@given(moves)
def test_each_half_is_rigid(whole: FloatArray) -> None:
    for half in halfway(whole):
        np.testing.assert_allclose(half[:3, :3].T @ half[:3, :3], np.eye(3), atol=1e-12)
        assert np.linalg.det(half[:3, :3]) > 0


@given(moves)
def test_the_dates_the_other_way_round_meet_in_the_same_place(whole: FloatArray) -> None:
    first, second = halfway(whole)
    second_again, first_again = halfway(rigid_inverse(whole))
    np.testing.assert_allclose(first_again, first, atol=1e-9)
    np.testing.assert_allclose(second_again, second, atol=1e-9)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(np.diag([1.01, 1.0, 1.0, 1.0]), id="stretched"),
        pytest.param(np.diag([-1.0, 1.0, 1.0, 1.0]), id="mirrored"),
        pytest.param(np.full((4, 4), np.nan), id="no numbers"),
    ],
)
def test_a_move_that_is_not_rigid_is_refused(wrong: FloatArray) -> None:
    with pytest.raises(GeometryError, match="want a rigid move"):
        halfway(wrong)
