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
        pytest.param({"b": (2, 5), "a": (6, 0)}, ("a", "b"), id="6 stand alone, 6 + 2 > 5"),
        pytest.param({"a": (4, 0), "b": (3, 9), "c": (1, 5)}, ("a", "c"), id="8 < 9, 4 + 1 = 5"),
        pytest.param({"a": (4, 0), "b": (3, 9), "c": (1, 6)}, ("a",), id="8 < 9, then 5 < 6"),
        pytest.param({"a": (1, 10**7), "b": (9, 0)}, ("b",), id="one site cannot spoil it"),
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
def test_it_is_the_largest_group_that_meets_all_its_wishes(
    sites: dict[str, tuple[int, int]],
) -> None:
    given_by = subjects(**sites)
    bearing = [site for site in given_by if given_by[site].n_subjects]
    groups = [
        group
        for size in range(len(bearing) + 1)
        for group in itertools.combinations(sorted(bearing), size)
        if all(given_by[s].min_total <= n_subjects_of(group, given_by) for s in group)
    ]
    assert usable_sites(given_by) == max(groups, key=len)
