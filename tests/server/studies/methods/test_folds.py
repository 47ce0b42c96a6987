from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ConfigError
from server.studies.methods.folds import parts_of_fold, split_sites


@given(n_sites=st.integers(3, 60), n_folds=st.integers(3, 8), seed=st.integers(0, 5))
def test_every_site_is_unseen_once_and_never_in_two_parts(
    n_sites: int, n_folds: int, seed: int
) -> None:
    sites = [f"site-{number}" for number in range(n_sites)]
    if n_sites < n_folds:
        with pytest.raises(ConfigError, match="at least one site a fold"):
            split_sites(sites, n_folds, seed=seed)
        return
    folds = split_sites(sites, n_folds, seed=seed)
    sizes = [len(part) for part in folds]
    assert max(sizes) - min(sizes) <= 1
    unseen: list[str] = []
    validation: list[str] = []
    for fold in range(1, n_folds + 1):
        parts = parts_of_fold(folds, fold)
        assert sorted([*parts.train, *parts.validation, *parts.unseen]) == sorted(sites)
        unseen += parts.unseen
        validation += parts.validation
    assert sorted(unseen) == sorted(validation) == sorted(sites)


def test_folds_depend_on_the_seed_and_not_on_the_order_of_the_sites() -> None:
    sites = [f"site-{number}" for number in range(20)]
    assert split_sites(sites, 5, seed=1) == split_sites(sites[::-1], 5, seed=1)
    assert split_sites(sites, 5, seed=1) != split_sites(sites, 5, seed=2)


def test_five_folds_of_ten_sites_train_on_sixty_percent() -> None:
    parts = parts_of_fold(split_sites(list("abcdefghij"), 5, seed=0), 5)
    assert [len(p) for p in (parts.train, parts.validation, parts.unseen)] == [6, 2, 2]


def test_the_part_after_the_last_is_the_first() -> None:
    folds = [("a",), ("b",), ("c",)]
    assert parts_of_fold(folds, 3).validation == ("a",)
    assert parts_of_fold(folds, 1).validation == ("b",)


def test_two_folds_leave_nothing_to_train_on() -> None:
    with pytest.raises(ConfigError, match="want at least 3 folds, got 2"):
        split_sites(["a", "b", "c"], 2, seed=0)
