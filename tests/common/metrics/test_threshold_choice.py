from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.metrics.lesion import LesionCounts
from common.metrics.threshold_choice import (
    By,
    ThresholdChoice,
    ThresholdSums,
    choose,
    choose_of,
    sum_cases,
)
from common.metrics.threshold_sweep import ThresholdCounts
from common.metrics.voxel import VoxelCounts

GRID = (0.3, 0.5, 0.7)


def at(threshold: float, *, tp: int, found: int, n_detected: int, n_predicted: int) -> Any:
    """Counts of a case whose reference has 10 voxels in 4 lesions."""
    return ThresholdCounts(
        threshold=threshold,
        voxels=VoxelCounts(tp=tp, fp=found - tp, fn=10 - tp, tn=1000),
        lesions=LesionCounts(
            n_reference=4,
            n_predicted=n_predicted,
            n_detected=n_detected,
            n_confirmed=min(n_detected, n_predicted),
            n_touched=n_detected,
            n_untouching=0,
            reference_volume_mm3=10.0,
            predicted_volume_mm3=float(found),
            reference_is_empty=False,
            prediction_is_empty=found == 0,
        ),
    )


def without_lesions(threshold: float) -> ThresholdCounts:
    counts = at(threshold, tp=0, found=3, n_detected=0, n_predicted=1)
    return ThresholdCounts(
        threshold=threshold,
        voxels=VoxelCounts(tp=0, fp=3, fn=0, tn=1007),
        lesions=dataclasses.replace(
            counts.lesions, n_reference=0, reference_volume_mm3=0.0, reference_is_empty=True
        ),
    )


# Dice 2 TP / (found + 10): 10/20, 12/20, 8/14; lesion F1 from 4, 2, 1 of 4 found and no other:
# 1, 2 (1/2) / (3/2) = 2/3, 2 (1/4) / (5/4) = 2/5
FIRST = [
    at(0.3, tp=5, found=10, n_detected=4, n_predicted=4),
    at(0.5, tp=6, found=10, n_detected=2, n_predicted=2),
    at(0.7, tp=4, found=4, n_detected=1, n_predicted=1),
]
# Dice 4/20, 2/20, 14/20; lesion F1 as before, the other way round
SECOND = [
    at(0.3, tp=2, found=10, n_detected=1, n_predicted=1),
    at(0.5, tp=1, found=10, n_detected=2, n_predicted=2),
    at(0.7, tp=7, found=10, n_detected=1, n_predicted=1),
]


def test_sums_are_whole_numbers_of_a_billionth_each_case_rounded_for_itself() -> None:
    sums = sum_cases([FIRST, SECOND], GRID)
    # 8/14 = 0.571428571|42..., 2/3 = 0.666666666|66...
    assert sums.dice == (700_000_000, 700_000_000, 571_428_571 + 700_000_000)
    assert sums.lesion_f1 == (1_400_000_000, 2 * 666_666_667, 800_000_000)
    assert (sums.n_dice, sums.n_lesion_f1, sums.n_cases) == (2, 2, 2)


@pytest.mark.parametrize(
    ("by", "threshold"),
    [
        pytest.param("dice", 0.7, id="(8/14 + 14/20) / 2 = 0.636 beats 0.35"),
        pytest.param("lesion_f1", 0.3, id="(1 + 2/5) / 2 = 0.7 beats 2/3 and 2/5"),
    ],
)
def test_the_threshold_with_the_highest_mean_is_chosen(by: By, threshold: float) -> None:
    choice = choose(sum_cases([FIRST, SECOND], GRID), by=by, split="two cases")
    assert choice is not None
    assert (choice.threshold, choice.by, choice.n_cases) == (threshold, by, 2)
    assert choice.thresholds == GRID
    assert choice.mean_dice == pytest.approx((0.35, 0.35, (8 / 14 + 14 / 20) / 2), abs=1e-9)
    assert choice.mean_lesion_f1 == pytest.approx((0.7, 2 / 3, 0.4), abs=1e-9)
    assert choice.at_edge


def test_a_case_without_lesions_is_counted_and_changes_no_mean() -> None:
    empty = [without_lesions(threshold) for threshold in GRID]
    sums = sum_cases([FIRST, empty], GRID)
    assert (sums.n_dice, sums.n_lesion_f1, sums.n_cases) == (1, 1, 2)
    assert sums.means("dice") == pytest.approx((0.5, 0.6, 8 / 14), abs=1e-9)


def test_without_a_case_that_has_a_lesion_nothing_is_chosen() -> None:
    empty = [without_lesions(threshold) for threshold in GRID]
    assert choose(sum_cases([empty], GRID), split="none") is None
    assert choose(ThresholdSums.none(), split="none") is None


def sums_of(dice: Sequence[int], thresholds: Sequence[float]) -> ThresholdSums:
    return ThresholdSums(
        thresholds=tuple(thresholds),
        dice=tuple(dice),
        lesion_f1=(0,) * len(dice),
        n_dice=1,
        n_lesion_f1=1,
        n_cases=1,
    )


@pytest.mark.parametrize(
    ("dice", "thresholds", "chosen"),
    [
        pytest.param((7, 7, 7), (0.2, 0.55, 0.6), 0.55, id="the nearest to 0.5"),
        pytest.param((7, 0, 7), (0.3, 0.5, 0.7), 0.3, id="0.3 and 0.7 are as near: the lower"),
        pytest.param((7, 0, 7), (0.45, 0.5, 0.55), 0.45, id="so with 0.45 and 0.55"),
        pytest.param((0, 7, 7), (0.2, 0.25, 0.95), 0.25, id="0.25 and 0.95"),
        pytest.param((0, 0, 0), (0.2, 0.5, 0.95), 0.5, id="nothing is ever found"),
        pytest.param((8, 7, 7), (0.05, 0.5, 0.95), 0.05, id="no tie: one billionth is enough"),
    ],
)
def test_ties_go_to_the_threshold_nearest_one_half_then_to_the_lower(
    dice: tuple[int, ...], thresholds: tuple[float, ...], chosen: float
) -> None:
    choice = choose(sums_of(dice, thresholds), split="s")
    assert choice is not None
    assert choice.threshold == chosen


def test_the_middle_of_the_grid_is_not_its_edge() -> None:
    choice = choose(sums_of((1, 5, 2), GRID), split="s")
    assert choice is not None
    assert not choice.at_edge


CASES = st.lists(
    st.tuples(*(st.tuples(st.integers(0, 10), st.integers(0, 40)) for _ in GRID)),
    min_size=1,
    max_size=12,
)


@given(CASES, st.data())
def test_sums_over_sites_are_the_pooled_sums_for_any_partition_and_order(
    cases: list[tuple[tuple[int, int], ...]], data: st.DataObject
) -> None:
    sweeps = [
        [
            at(threshold, tp=tp, found=tp + fp, n_detected=tp % 5, n_predicted=fp % 7)
            for threshold, (tp, fp) in zip(GRID, case, strict=True)
        ]
        for case in cases
    ]
    site_of = data.draw(st.lists(st.integers(0, 3), min_size=len(cases), max_size=len(cases)))
    arrival = data.draw(st.permutations(range(4)))
    federated = ThresholdSums.none(GRID)
    for site in arrival:
        own = [sweep for sweep, home in zip(sweeps, site_of, strict=True) if home == site]
        federated += sum_cases(own, GRID)
    pooled = sum_cases(sweeps, GRID)
    assert federated == pooled
    assert choose(federated, split="s") == choose(pooled, split="s")
    exact = [
        sum(Fraction(2 * tp, 2 * tp + fp + 10 - tp) for tp, fp in column)
        for column in zip(*cases, strict=True)
    ]
    for rounded, true in zip(pooled.dice, exact, strict=True):
        assert abs(Fraction(rounded, 10**9) - true) <= len(cases) * Fraction(6, 10**10)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"dice": (1, 2)}, "for each of 3 thresholds, got 2 and 3", id="length"),
        pytest.param({"dice": (0, -1, 0)}, "want sums from 0 to 1 cases", id="below 0"),
        pytest.param({"dice": (0, 10**9 + 1, 0)}, "want sums from 0 to 1 cases", id="above n"),
        pytest.param({"n_lesion_f1": 2}, "n_lesion_f1: want 0 to 1 cases, got 2", id="more than n"),
    ],
)
def test_sums_that_no_cases_could_have_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(sums_of((1, 5, 2), GRID), **changes)


def test_sums_at_other_thresholds_do_not_add_up() -> None:
    with pytest.raises(ValueError, match="thresholds differ"):
        ThresholdSums.none(GRID) + ThresholdSums.none((0.3, 0.5, 0.8))


CHOICE = ThresholdChoice(
    threshold=0.5,
    by="dice",
    split="s",
    n_cases=3,
    thresholds=GRID,
    mean_dice=(0.25, 0.5, 0.0),
    mean_lesion_f1=(0.25, 0.5, 1.0),
)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"by": "f2"}, "by: want one of dice, lesion_f1"),
        ({"n_cases": 0}, "n_cases: want 1 or more"),
        ({"thresholds": (0.5, 0.3, 0.7)}, "want them rising inside 0 to 1"),
        ({"thresholds": (0.0, 0.5, 0.7)}, "want them rising inside 0 to 1"),
        ({"thresholds": (0.5, 0.7, float("nan"))}, "want them rising inside 0 to 1"),
        ({"threshold": 0.4}, "threshold: want one of"),
        ({"mean_dice": (0.1, 0.2)}, "mean_dice: want 3 means from 0 to 1"),
        ({"mean_lesion_f1": (0.1, 0.2, 1.5)}, "mean_lesion_f1: want 3 means from 0 to 1"),
    ],
)
def test_a_choice_that_does_not_hold_together_is_refused(
    changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(CHOICE, **changes)


def joint(*dice: tuple[int, int, int]) -> list[ThresholdSums]:
    """One sum of Dice in tenths for each smallest volume and threshold, over 2 cases."""
    return [sums_of([one * 10**8 for one in row], GRID) for row in dice]


@pytest.mark.parametrize(
    ("tenths", "smallest", "threshold"),
    [
        pytest.param([(4, 6, 5), (4, 5, 9), (8, 5, 6)], 3.0, 0.7, id="9 is the highest of all"),
        pytest.param([(4, 9, 5), (4, 5, 9), (9, 9, 9)], 0.0, 0.5, id="a tie: less is dropped"),
        pytest.param([(4, 6, 5), (9, 5, 4), (9, 9, 9)], 3.0, 0.3, id="before the middle threshold"),
    ],
)
def test_threshold_and_smallest_volume_are_the_best_pair(
    tenths: list[tuple[int, int, int]], smallest: float, threshold: float
) -> None:
    choice = choose_of(joint(*tenths), (0.0, 3.0, 6.0), by="dice", split="kept")
    assert choice is not None
    assert (choice.smallest_mm3, choice.threshold) == (smallest, threshold)
    assert choice.smallest_grid_mm3 == (0.0, 3.0, 6.0)
    n = choice.n_cases
    assert choice.best_by_smallest == tuple(max(row) / 10 / n for row in tenths)
    assert max(choice.mean_dice) == max(choice.best_by_smallest)


def test_without_volumes_the_threshold_alone_is_chosen() -> None:
    [sums] = joint((4, 6, 5))
    choice = choose_of([sums], (), by="dice", split="kept")
    assert choice == choose(sums, by="dice", split="kept")
    assert choice is not None
    assert choice.smallest_mm3 is None


def test_no_case_with_a_lesion_chooses_no_volume_either() -> None:
    none = [ThresholdSums.none(GRID)] * 2
    assert choose_of(none, (0.0, 3.0), by="dice", split="kept") is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"smallest_mm3": 4.0}, "smallest_mm3: want one of"),
        ({"smallest_mm3": None}, "smallest_mm3: want one of"),
        ({"smallest_grid_mm3": (3.0, 0.0)}, "smallest_grid_mm3: want them rising"),
        ({"smallest_grid_mm3": (-0.5, 3.0)}, "smallest_grid_mm3: want them rising"),
        ({"smallest_grid_mm3": (3.0, float("nan"))}, "smallest_grid_mm3: want them rising"),
        ({"best_by_smallest": (0.5,)}, "best_by_smallest: want 2 means"),
        ({"best_by_smallest": (0.5, 1.5)}, "best_by_smallest: want 2 means"),
    ],
)
def test_a_smallest_volume_that_cannot_have_been_chosen_is_refused(
    changes: dict[str, Any], words: str
) -> None:
    choice = choose_of(joint((4, 6, 5), (4, 5, 9)), (0.0, 3.0), by="dice", split="kept")
    assert choice is not None
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(choice, **changes)


def test_calling_everything_one_lesion_does_not_win_by_lesion_f1() -> None:
    """At 0.3 one blob of 990 voxels touches all four lesions: F1 1, Dice 20 / 1000.

    At 0.5 two of four and no false one: F1 2/3, Dice 12/20, whose half the blob does not reach.
    """
    blob = at(0.3, tp=10, found=990, n_detected=4, n_predicted=1)
    sums = sum_cases([[blob, *FIRST[1:]]], GRID)
    assert sums.lesion_f1[0] == 10**9
    choice = choose(sums, by="lesion_f1", split="s")
    assert choice is not None
    assert choice.threshold == 0.5
    of_sizes = choose_of([sums, sums], (0.0, 3.0), by="lesion_f1", split="s")
    assert of_sizes is not None
    assert (of_sizes.threshold, of_sizes.best_by_smallest) == (0.5, (0.666666667, 0.666666667))


def test_by_lesion_f1_a_threshold_at_half_of_the_best_dice_may_still_be_chosen() -> None:
    """Dice 6/20 of 12/20 is the half: F1 1 wins there."""
    half = at(0.3, tp=3, found=10, n_detected=4, n_predicted=4)
    choice = choose(sum_cases([[half, *FIRST[1:]]], GRID), by="lesion_f1", split="s")
    assert choice is not None
    assert choice.threshold == 0.3
