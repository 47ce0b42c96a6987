from __future__ import annotations

import math

import numpy as np
import pytest

from common.imaging.mutual_information import entropy, joint_histogram, mutual_information


def test_the_highest_value_falls_into_the_last_bin() -> None:
    # 0 and 0.9 lie in the first of two bins up to 2, 1 and 2 in the second
    joint = joint_histogram(np.array([0, 0.9, 1, 2]), np.array([5, 5, 5, 5]), n_bins=2)
    np.testing.assert_array_equal(joint, [[0.5, 0], [0.5, 0]])


def test_mutual_information_is_what_the_two_entropies_count_twice() -> None:
    joint = np.array([[0.5, 0.0], [0.25, 0.25]])
    # H(a) = ln 2; H(b) = -3/4 ln 3/4 - 1/4 ln 1/4 = 2 ln 2 - 3/4 ln 3;
    # H(a, b) = 1/2 ln 2 + 1/2 ln 4 = 3/2 ln 2
    expected = 1.5 * math.log(2) - 0.75 * math.log(3)
    assert mutual_information(joint) == pytest.approx(expected)
    assert entropy(joint) == pytest.approx(1.5 * math.log(2))
