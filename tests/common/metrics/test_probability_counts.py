from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from common.arrays import BoolArray, Float32Array
from common.errors import GeometryError, SiteDataError
from common.metrics.probability_counts import (
    N_BINS,
    ProbabilityCounts,
    count_probabilities,
    no_probabilities,
)

probabilities = hnp.arrays(np.float32, (2, 3, 4), elements=st.floats(0, 1, width=32))
masks = hnp.arrays(np.bool_, (2, 3, 4))


def counted(
    probability: list[float], reference: list[int], brain: list[int] | None = None
) -> ProbabilityCounts:
    """The counts of a volume of one row."""
    inside = [1] * len(probability) if brain is None else brain
    return count_probabilities(
        np.array([[probability]]), np.array([[reference]], bool), np.array([[inside]], bool)
    )


def test_each_voxel_falls_into_the_bin_of_its_probability() -> None:
    counts = counted([0.0, 0.004, 0.5, 0.505, 0.999], [0, 1, 0, 1, 1])

    assert {b: int(n) for b, n in enumerate(counts.n_voxels) if n} == {0: 2, 50: 2, 99: 1}
    assert {b: int(n) for b, n in enumerate(counts.n_lesion_voxels) if n} == {0: 1, 50: 1, 99: 1}
    assert counts.probability_sums[50] == pytest.approx(1.005)  # 0.5 + 0.505


@pytest.mark.parametrize("b", range(N_BINS))
def test_the_lower_edge_belongs_to_its_bin(b: int) -> None:
    # 0.29 * 100 is 28.999999999999996: rounding down would put 0.29 into bin 28
    assert np.flatnonzero(counted([b / 100], [0]).n_voxels).tolist() == [b]


def test_a_probability_of_one_is_in_the_last_bin() -> None:
    assert counted([1.0], [1]).n_voxels[99] == 1


def test_voxels_outside_the_brain_are_not_counted() -> None:
    counts = counted([0.9, 0.2, 0.9], [0, 0, 0], brain=[0, 1, 0])

    assert counts.n_voxels.sum() == 1
    assert counts.n_voxels[20] == 1


def test_a_lesion_outside_the_brain_counts_as_probability_zero() -> None:
    counts = counted([0.9, 0.2], [1, 0], brain=[0, 1])

    assert (counts.n_voxels[0], counts.n_lesion_voxels[0]) == (1, 1)
    assert counts.probability_sums[0] == 0
    assert counts.n_voxels[90] == 0


def test_what_the_map_says_outside_the_brain_does_not_matter() -> None:
    assert counted([float("nan"), 0.2], [0, 0], brain=[0, 1]).n_voxels.sum() == 1


def test_without_a_brain_voxel_nothing_is_counted() -> None:
    assert counted([0.5], [0], brain=[0]).n_voxels.sum() == 0


@given(probability=probabilities, reference=masks, brain=masks)
def test_every_brain_voxel_and_every_lesion_voxel_is_counted_once(
    probability: Float32Array, reference: BoolArray, brain: BoolArray
) -> None:
    counts = count_probabilities(probability, reference, brain)

    assert counts.n_voxels.sum() == (brain | reference).sum()
    assert counts.n_lesion_voxels.sum() == reference.sum()
    assert counts.probability_sums.sum() == pytest.approx(probability[brain].sum(dtype=float))
    assert (counts.n_lesion_voxels <= counts.n_voxels).all()


@given(maps=st.tuples(probabilities, probabilities), reference=masks, brain=masks)
def test_the_sum_over_cases_is_the_count_of_all_voxels_together(
    maps: tuple[Float32Array, Float32Array],
    reference: BoolArray,
    brain: BoolArray,
) -> None:
    added = no_probabilities()
    for probability in maps:
        added = added + count_probabilities(probability, reference, brain)
    pooled = count_probabilities(
        np.concatenate(maps), np.concatenate([reference] * 2), np.concatenate([brain] * 2)
    )

    np.testing.assert_array_equal(added.n_voxels, pooled.n_voxels)
    np.testing.assert_array_equal(added.n_lesion_voxels, pooled.n_lesion_voxels)
    np.testing.assert_allclose(added.probability_sums, pooled.probability_sums)


@pytest.mark.parametrize("odd", [-0.1, 1.01, float("nan"), float("inf")])
def test_what_is_no_probability_is_refused(odd: float) -> None:
    with pytest.raises(SiteDataError, match=r"want values in \[0, 1\].*not its logits"):
        counted([0.5, odd], [0, 0])


def test_maps_on_different_grids_are_refused() -> None:
    with pytest.raises(GeometryError, match=r"one \(i, j, k\) grid, got \(1, 2, 3\)"):
        count_probabilities(
            np.zeros((1, 2, 3)), np.zeros((1, 2, 3), bool), np.zeros((3, 2, 1), bool)
        )


def test_counts_of_another_number_of_bins_are_refused() -> None:
    with pytest.raises(SiteDataError, match="want 100 bins each"):
        ProbabilityCounts(np.zeros(99, np.int64), np.zeros(100, np.int64), np.zeros(100))


def test_more_lesion_voxels_than_voxels_are_refused() -> None:
    with pytest.raises(SiteDataError, match="more lesion voxels than voxels"):
        ProbabilityCounts(np.zeros(100, np.int64), np.ones(100, np.int64), np.zeros(100))


def test_sums_that_are_not_finite_are_refused() -> None:
    with pytest.raises(SiteDataError, match="want finite sums"):
        ProbabilityCounts(
            np.zeros(100, np.int64), np.zeros(100, np.int64), np.full(100, float("nan"))
        )
