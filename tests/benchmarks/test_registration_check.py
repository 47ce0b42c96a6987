from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.registration_check import normalized_mutual_information
from common.errors import GeometryError

EVERYWHERE = np.ones((2, 2, 1), bool)


def test_an_image_that_decides_the_other_has_two() -> None:
    a = np.array([[[1.0], [2.0]], [[3.0], [4.0]]])
    assert normalized_mutual_information(a, 7 - 2 * a, EVERYWHERE) == pytest.approx(2)


def test_images_that_tell_nothing_of_each_other_have_one() -> None:
    # each of the four pairs (0 or 1, 0 or 1) once: H(a) = H(b) = ln 2, H(a, b) = ln 4
    a = np.array([[[0.0], [0.0]], [[1.0], [1.0]]])
    b = np.array([[[0.0], [1.0]], [[0.0], [1.0]]])
    assert normalized_mutual_information(a, b, EVERYWHERE) == pytest.approx(1)


def test_half_of_an_image_predicted_by_the_other_has_three_halves() -> None:
    # b of four values tells a of two: H(a) = ln 2, H(b) = H(a, b) = ln 4, (ln 2 + ln 4) / ln 4
    a = np.array([[[0], [0]], [[5], [5]]])
    b = np.array([[[1], [2]], [[3], [4]]])
    assert normalized_mutual_information(a, b, EVERYWHERE) == pytest.approx(1.5)


def test_values_outside_the_mask_count_for_nothing_not_even_for_the_bins() -> None:
    a = np.array([[[0.0], [0.0]], [[1.0], [1e6]]])
    b = np.array([[[0.0], [1.0]], [[0.0], [1.0]]])
    mask = np.array([[[True], [True]], [[True], [False]]])
    # pairs (0, 0), (0, 1), (1, 0): H(a) = H(b) = ln 3 - 2/3 ln 2, H(a, b) = ln 3
    expected = 2 * (math.log(3) - 2 / 3 * math.log(2)) / math.log(3)
    assert normalized_mutual_information(a, b, mask) == pytest.approx(expected)


def test_two_images_of_one_value_have_one() -> None:
    flat = np.full((2, 2, 1), 3.0)
    assert normalized_mutual_information(flat, flat, EVERYWHERE) == 1


def test_a_mask_of_another_shape_is_refused_with_the_shapes() -> None:
    image = np.zeros((2, 2, 1))
    with pytest.raises(GeometryError, match=r"one shape, got \(2, 2, 1\).*\(2, 2\)"):
        normalized_mutual_information(image, image, np.ones((2, 2), bool))


def test_an_empty_mask_is_refused() -> None:
    image = np.zeros((2, 2, 1))
    with pytest.raises(GeometryError, match="got an empty one"):
        normalized_mutual_information(image, image, ~EVERYWHERE)


@given(st.integers(0, 2**32 - 1))
def test_it_lies_between_one_and_two_and_does_not_mind_which_image_comes_first(seed: int) -> None:
    a, b = np.random.default_rng(seed).normal(size=(2, 4, 5, 3))
    everywhere = np.ones(a.shape, bool)
    there = normalized_mutual_information(a, b, everywhere)
    assert 1 - 1e-12 <= there <= 2 + 1e-12
    assert there == pytest.approx(normalized_mutual_information(b, a, everywhere))
