from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.wire.messages import SummedSubjects
from server.phases.usable_sites import n_subjects_of, usable_sites


def subjects(**sites: tuple[int, int]) -> dict[str, SummedSubjects]:
    """Site -> how many it has, and how many the total must have."""
    return {
        site: SummedSubjects(n_subjects=n, min_total=wanted) for site, (n, wanted) in sites.items()
    }


@pytest.mark.parametrize(
    ("sites", "usable"),
    [
        pytest.param({"a": (2, 5), "b": (3, 5)}, ("a", "b"), id="2 + 3 = 5"),
        pytest.param({"a": (2, 5), "b": (2, 5)}, (), id="2 + 2 < 5"),
        pytest.param({"b": (2, 5), "a": (6, 0)}, ("a",), id="2 < 5: a's 6 do not hide b"),
        pytest.param({"b": (2, 5), "a": (6, 0), "c": (3, 4)}, ("a", "b", "c"), id="2 + 3 = 5"),
        pytest.param({"b": (3, 9), "c": (2, 4), "d": (2, 4)}, ("c", "d"), id="7 < 9, 2 + 2 = 4"),
        pytest.param({"b": (3, 9), "c": (2, 5), "d": (2, 4)}, (), id="7 < 9, 4 < 5, 2 < 4"),
        pytest.param({"a": (1, 10**7), "b": (3, 6), "c": (3, 6)}, ("b", "c"), id="no spoiling"),
        pytest.param({"a": (0, 0), "b": (0, 5)}, (), id="nobody has any"),
    ],
)
def test_sites_whose_wish_is_not_met_are_left_out(
    sites: dict[str, tuple[int, int]], usable: tuple[str, ...]
) -> None:
    assert usable_sites(subjects(**sites)) == usable


OF_SITES = st.dictionaries(
    st.sampled_from("abcdef"), st.tuples(st.integers(0, 6), st.integers(0, 20)), max_size=6
)


@given(OF_SITES)
def test_it_is_those_that_stand_alone_and_the_largest_group_that_meets_all_its_wishes(
    sites: dict[str, tuple[int, int]],
) -> None:
    given_by = subjects(**sites)
    alone = [s for s, (n, wanted) in sites.items() if n and not wanted]
    others = sorted(s for s, (n, wanted) in sites.items() if n and wanted)
    groups = [
        group
        for size in range(len(others) + 1)
        for group in itertools.combinations(others, size)
        if all(given_by[s].min_total <= n_subjects_of(group, given_by) for s in group)
    ]
    assert usable_sites(given_by) == tuple(sorted([*alone, *max(groups, key=len)]))
