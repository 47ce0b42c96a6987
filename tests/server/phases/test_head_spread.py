from __future__ import annotations

import numpy as np
import pytest

from common.errors import UpdateRejected
from common.wire.feature_summary import HeadAnswers
from server.phases.head_spread import head_spread, require_answers


def answers_of(probabilities: list[list[float]]) -> HeadAnswers:
    rows = np.array(probabilities)
    return HeadAnswers(
        n_patches=len(rows),
        mean=tuple(rows.mean(axis=0).tolist()),
        mean_square=tuple(np.square(rows).mean(axis=0).tolist()),
    )


def test_a_constant_head_has_no_spread_and_nothing_has_none() -> None:
    assert head_spread([answers_of([[0.7, 0.2, 0.1]] * 5)]) == pytest.approx(0, abs=1e-7)
    assert head_spread([]) is None


def test_it_is_the_deviation_over_all_patches_of_all_sites() -> None:
    rows = np.random.default_rng(2).dirichlet((1, 2, 3), 12)
    parts = [answers_of(rows[:3].tolist()), answers_of(rows[3:].tolist())]
    assert head_spread(parts) == pytest.approx(rows.std(axis=0).mean())


def test_a_perfect_site_classifier_spreads_over_all_sites_though_within_none() -> None:
    first, second = answers_of([[1, 0]] * 4), answers_of([[0, 1]] * 4)
    assert head_spread([first]) == head_spread([second]) == 0
    assert head_spread([first, second]) == pytest.approx(0.5)


def test_answers_of_another_number_of_sites_are_refused_by_name() -> None:
    with pytest.raises(UpdateRejected, match=r"site ghent: the head's answers have \[2\] numbers"):
        require_answers("ghent", answers_of([[1, 0]]), n_sites=3)
