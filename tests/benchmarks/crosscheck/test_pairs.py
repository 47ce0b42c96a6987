from __future__ import annotations

import numpy as np
import pytest

from benchmarks.crosscheck.pairs import SHAPE, random_pair


@pytest.mark.parametrize("number", [0, 1, 7, 12])
def test_a_pair_is_the_same_whenever_it_is_made_and_never_empty(number: int) -> None:
    reference, prediction, spacing_mm = random_pair(number)
    assert reference.shape == prediction.shape == SHAPE
    assert reference.any()
    assert prediction.any()
    for once, again in zip((reference, prediction, spacing_mm), random_pair(number), strict=True):
        np.testing.assert_array_equal(once, again)


@pytest.mark.parametrize("number", [1, 7, 13])
def test_odd_pairs_keep_clear_of_the_edge(number: int) -> None:
    reference, prediction, _ = random_pair(number)
    both = reference | prediction
    assert both[1:-1, 1:-1, 1:-1].sum() == both.sum()


def test_pairs_differ() -> None:
    assert not np.array_equal(random_pair(0)[0], random_pair(2)[0])
