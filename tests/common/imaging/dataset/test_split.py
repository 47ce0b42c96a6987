from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.arrays import BoolArray
from common.errors import ConfigError, SiteDataError
from common.imaging.dataset.prepared import PreparedCase
from common.imaging.dataset.split import (
    PARTS,
    PartSummary,
    Shares,
    Split,
    balanced_parts,
    part_facts,
    split_cases,
)

Method = Literal["random", "balanced"]
METHODS: tuple[Method, ...] = ("random", "balanced")
SHAPE = (3, 4, 40)
VOXEL_ML = 0.5 * 2 * 3 / 1000


def case(subject: str, *lesions: int, session: str | None = None) -> PreparedCase:
    """One lesion a number, so many voxels long, in a row of its own."""
    mask = np.zeros(SHAPE, bool)
    for row, n_voxels in enumerate(lesions):
        mask[row, row, :n_voxels] = True
    return with_lesions(subject, mask, session)


def with_lesions(
    subject: str, lesions: BoolArray | None, session: str | None = None
) -> PreparedCase:
    return PreparedCase(
        subject=subject,
        session=session,
        control=False,
        image=np.zeros((1, *SHAPE), np.float32),
        brain=np.ones(SHAPE, bool),
        lesions=lesions,
        crop_start=(0, 0, 0),
        grid_shape=SHAPE,
        affine=np.diag([0.5, 2.0, 3.0, 1.0]),
    )


def subjects_of(split: Split) -> dict[str, list[str]]:
    return {part: sorted({case.subject for case in getattr(split, part)}) for part in PARTS}


cohorts = st.lists(st.integers(0, 40), min_size=1, max_size=25).map(
    lambda loads: [case(f"sub-{n:02d}", load) for n, load in enumerate(loads)]
)
all_shares = st.tuples(*[st.sampled_from([0.0, 0.1, 0.14, 0.2, 0.3])] * 3).map(
    lambda kept: Shares(validation=kept[0], threshold=kept[1], test=kept[2])
)


methods = st.sampled_from(METHODS)


@given(cases=cohorts, shares=all_shares, seed=st.integers(0, 99), method=methods)
def test_every_case_is_in_one_part(
    cases: list[PreparedCase], shares: Shares, seed: int, method: Method
) -> None:
    split = split_cases(cases, shares=shares, method=method, seed=seed)
    assigned = [case.subject for part in PARTS for case in getattr(split, part)]
    assert sorted(assigned) == [case.subject for case in cases]
    again = split_cases(cases, shares=shares, method=method, seed=seed)
    assert subjects_of(again) == subjects_of(split)


@given(cases=cohorts, shares=all_shares, seed=st.integers(0, 99))
def test_balanced_parts_are_within_one_of_their_share_with_and_without_lesions(
    cases: list[PreparedCase], shares: Shares, seed: int
) -> None:
    split = split_cases(cases, shares=shares, method="balanced", seed=seed)
    n_free = sum(not case.trainable for case in cases)
    for part in PARTS:
        share, held = getattr(shares, part), getattr(split, part)
        free = sum(not case.trainable for case in held)
        for n, wish in (
            (len(held), share * len(cases)),
            (free, share * n_free),
            (len(held) - free, share * (len(cases) - n_free)),
        ):
            assert abs(n - wish) < 1 + 1e-6


@given(cases=cohorts, shares=all_shares, seed=st.integers(0, 99), method=methods)
def test_a_subject_with_lesions_trains_wherever_there_is_one(
    cases: list[PreparedCase], shares: Shares, seed: int, method: Method
) -> None:
    split = split_cases(cases, shares=shares, method=method, seed=seed)
    some_bear = any(case.trainable for case in cases)
    assert any(case.trainable for case in split.training) == some_bear


@given(
    loads=st.lists(st.floats(0, 1000), min_size=1, max_size=30),
    places=st.lists(st.integers(0, 5), min_size=1, max_size=4),
)
def test_no_two_parts_are_further_from_their_wish_than_the_subjects_differ(
    loads: list[float], places: list[int]
) -> None:
    n = min(len(loads), sum(places))
    if n == 0:
        return
    sizes = [min(size, max(0, n - sum(places[:i]))) for i, size in enumerate(places)]
    ordered = sorted(loads, reverse=True)[:n]
    parts = balanced_parts(ordered, sizes)
    assert np.bincount(parts, minlength=len(sizes)).tolist() == sizes
    mean = sum(ordered) / n
    off = [
        sum(load for load, at in zip(ordered, parts, strict=True) if at == part) - mean * size
        for part, size in enumerate(sizes)
        if size
    ]
    assert max(off) - min(off) <= max(ordered) - min(ordered) + 1e-3 * (1 + max(ordered))


def test_the_heaviest_go_where_most_is_missing_and_an_exchange_mends_the_rest() -> None:
    """Mean 4.5: the wishes are 13.5 (3 places) and 4.5 (1 place).

    9 goes to the first part, which then lacks 4.5 as the second does; the first wins the tie for 5.
    3 goes to the second, and 1 to the place that is left: 15 and 3, each 1.5 off. With 5 and 3
    exchanged 13 and 5, 0.5 off: less.
    """
    assert balanced_parts([9, 5, 3, 1], [3, 1]).tolist() == [0, 1, 0, 0]


def test_places_must_be_as_many_as_subjects() -> None:
    with pytest.raises(ValueError, match="want 2 places for as many subjects, got 3"):
        balanced_parts([1, 2], [2, 1])


def test_lesion_free_subjects_are_split_separately() -> None:
    """Half of each kind, whatever the seed: 2 of 4 with lesions and 1 of 2 without."""
    cases = [case(f"sub-{n}", load) for n, load in enumerate((5, 0, 30, 20, 0, 15))]
    for seed in range(5):
        split = split_cases(cases, shares=Shares(test=0.5), method="balanced", seed=seed)
        assert sorted(c.lesion_volume_ml > 0 for c in split.test) == [False, True, True]
        # 30 + 5 against 20 + 15 voxels: the only even way
        assert sum(c.lesion_volume_ml for c in split.test) == pytest.approx(35 * VOXEL_ML)


def test_a_hospitals_only_subject_with_lesions_trains_where_most_subjects_do() -> None:
    """Of three, 2.1 are to train and 0.45 twice to be kept: 2, 1 and 0, with the lesions among 2.

    The totals alone would leave them anywhere; of the one subject with lesions 0.7 is to train.
    """
    cases = [case(f"sub-{n}", load) for n, load in enumerate((0, 12, 0))]
    for seed in range(5):
        shares = Shares(validation=0.15, threshold=0.15)
        split = split_cases(cases, shares=shares, method="balanced", seed=seed)
        assert len(split.training) == 2
        assert [c.subject for c in split.training if c.trainable] == ["sub-1"]


@pytest.mark.parametrize(
    ("n_subjects", "share", "n_kept"),
    [
        pytest.param(8, 0.2, 2, id="1.6: two, so that four sites of eight have eight"),
        pytest.param(7, 0.2, 1, id="1.4"),
        pytest.param(6, 0.25, 1, id="1.5: a half goes down"),
        pytest.param(10, 0.35, 3, id="3.5, which floats have as 3.4999"),
        pytest.param(7, 0.0, 0, id="none"),
        pytest.param(1, 0.79, 0, id="the only subject trains"),
    ],
)
def test_random_keeps_the_nearest_number_of_the_first_shuffled_subjects(
    n_subjects: int, share: float, n_kept: int
) -> None:
    cases = [case(f"sub-{n:02d}", 1) for n in range(n_subjects)]
    split = split_cases(cases, shares=Shares(validation=share), method="random", seed=3)
    order = np.random.default_rng(3).permutation(n_subjects)[:n_kept]
    assert subjects_of(split)["validation"] == sorted(f"sub-{n:02d}" for n in order)
    assert not split.threshold
    assert not split.test


@pytest.mark.parametrize("n_subjects", [1, 2, 3])
def test_shares_that_would_all_round_up_leave_a_subject_to_train(n_subjects: int) -> None:
    cases = [case(f"sub-{n}", 1) for n in range(n_subjects)]
    shares = Shares(validation=0.3, threshold=0.3, test=0.3)
    split = split_cases(cases, shares=shares, method="random", seed=0)
    assert len(split.training) == 1


def test_a_further_share_leaves_the_validation_as_it_was() -> None:
    cases = [case(f"sub-{n:02d}", 1) for n in range(10)]
    one = split_cases(cases, shares=Shares(validation=0.3), method="random", seed=1)
    more = split_cases(
        cases, shares=Shares(validation=0.3, threshold=0.2, test=0.1), method="random", seed=1
    )
    assert subjects_of(one)["validation"] == subjects_of(more)["validation"]
    assert [len(getattr(more, part)) for part in PARTS] == [4, 3, 2, 1]


@pytest.mark.parametrize("method", METHODS)
def test_sessions_stay_with_their_subject(method: Method) -> None:
    cases = [
        case(f"sub-{n}", n + s, session=f"ses-{s}") for n in range(6) for s in range(1, 1 + n % 3)
    ]
    shares = Shares(validation=0.3, test=0.3)
    split = split_cases(cases, shares=shares, method=method, seed=0)
    held = [subject for names in subjects_of(split).values() for subject in names]
    assert len(held) == len(set(held)) == 4


def test_facts_count_subjects_cases_lesions_and_volume() -> None:
    """Rows 0 and 1 of a case touch over an edge, in (i, j): one lesion. 3 + 2 + 4 voxels."""
    split = Split(
        training=[case("sub-1", 3, 2, session="ses-1"), case("sub-1", 4, session="ses-2")],
        validation=[case("sub-2", 0)],
        threshold=[],
        test=[],
    )
    facts = part_facts(split)
    assert facts["training"][:3] == (1, 2, 2)
    assert facts["training"].lesion_ml == pytest.approx(9 * VOXEL_ML)
    assert facts["validation"] == PartSummary(1, 1, 0, 0.0)
    assert facts["test"] == PartSummary(0, 0, 0, 0.0)


def test_balancing_asks_for_a_reference() -> None:
    cases = [case("sub-1", 3), with_lesions("sub-2", None, "ses-1")]
    with pytest.raises(SiteDataError, match="sub-2_ses-1: want a reference in every case"):
        split_cases(cases, shares=Shares(test=0.5), method="balanced", seed=0)


@pytest.mark.parametrize("kept", [(0.5, 0.3, 0.2), (-0.1, 0.0, 0.0), (float("nan"), 0.0, 0.0)])
def test_shares_that_leave_nobody_to_train_are_refused(kept: tuple[float, float, float]) -> None:
    with pytest.raises(ConfigError, match="want each 0 or more and their sum below 1"):
        Shares(validation=kept[0], threshold=kept[1], test=kept[2])


@given(cases=cohorts, shares=all_shares, seed=st.integers(0, 99))
def test_a_subject_with_a_lesion_trains_at_random_where_there_is_one(
    cases: list[PreparedCase], shares: Shares, seed: int
) -> None:
    split = split_cases(cases, shares=shares, method="random", seed=seed)
    anywhere = any(case.trainable for case in cases)
    assert any(case.trainable for case in split.training) == anywhere


def test_the_only_subject_with_a_lesion_changes_places_and_others_stay() -> None:
    """Of five, numpy's seed 0 draws 2 (validation), then 4 (test); 3, 1, 0 train."""
    assert np.random.default_rng(0).permutation(5).tolist()[:3] == [2, 4, 3]
    shares = Shares(validation=0.2, test=0.2)

    def split_of(*bearing: int) -> dict[str, list[str]]:
        cases = [case(f"sub-{n}", *([5] if n in bearing else [])) for n in range(5)]
        return subjects_of(split_cases(cases, shares=shares, method="random", seed=0))

    usual = {
        "training": ["sub-0", "sub-1", "sub-3"],
        "validation": ["sub-2"],
        "threshold": [],
        "test": ["sub-4"],
    }
    assert split_of(0, 2) == split_of(3) == split_of() == usual
    assert split_of(2) == {
        **usual,
        "training": ["sub-0", "sub-1", "sub-2"],
        "validation": ["sub-3"],
    }
    assert split_of(2, 4) == {**usual, "training": ["sub-0", "sub-1", "sub-4"], "test": ["sub-3"]}
