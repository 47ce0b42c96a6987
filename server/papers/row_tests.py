"""Two rows of a paper's table, tested against each other over the cases that both have."""

from __future__ import annotations

import itertools
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from server.compare.paired_tests import DIGITS, signed_rank_p
from server.evaluation.case_row import CaseRow
from server.papers.evaluated_run import EvaluatedRun

FEWEST_DIFFERING = 6
"""Of fewer differing pairs no two-sided p is below 0.05: of five the smallest is 2 / 2^5."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RowTest:
    """Two methods compared by Wilcoxon's signed-rank test.

    n             cases in which both have the figure
    n_differing   those in which it is not the same
    p             two-sided; None where fewer than FEWEST_DIFFERING differ
    """

    first: str
    other: str
    n: int
    n_differing: int
    p: float | None


def row_tests(runs: Sequence[EvaluatedRun], metric: str) -> tuple[RowTest, ...]:
    """Every two methods, in the order in which they appear, over the unseen sites' cases.

    A case is one pair: its figure is the mean over a method's seeds, and a case that one seed
    lacks or cannot define is left out. Cases that training sites keep for a test have no figures
    of their own at the coordinator, so they are in no pair.
    Source   Galassi et al. 2019 test F1 by Wilcoxon's signed-rank test. Chosen: the mean over the
             seeds, which are no further patients; p is not corrected for the number of tests.
    """
    labels = dict.fromkeys(run.label for run in runs)
    figures = {label: _by_case([r for r in runs if r.label == label], metric) for label in labels}
    return tuple(
        _test(first, other, figures[first], figures[other])
        for first, other in itertools.combinations(labels, 2)
    )


def tests_in_words(tests: Sequence[RowTest], *, of: str) -> str:
    """What was compared, by what, and each p."""
    return (
        f"Wilcoxon signed-rank test, two-sided and not corrected, on {of} of the unseen sites' "
        f"cases, paired by case: {'; '.join(_in_words(test) for test in tests)}."
    )


def _in_words(test: RowTest) -> str:
    pair = f"{test.first} and {test.other}: n = {test.n}"
    if test.p is not None:
        return f"{pair}, p = {test.p:.3f}" if test.p >= 0.001 else f"{pair}, p < 0.001"
    return f"{pair}, undefined, for {test.n_differing} differ and {FEWEST_DIFFERING} are needed"


def _test(
    first: str,
    other: str,
    of_first: Mapping[tuple[str, str], float],
    of_other: Mapping[tuple[str, str], float],
) -> RowTest:
    cases = sorted(of_first.keys() & of_other.keys())
    differences = [of_other[case] - of_first[case] for case in cases]
    n_differing = sum(round(difference, DIGITS) != 0 for difference in differences)
    p = signed_rank_p(differences) if n_differing >= FEWEST_DIFFERING else None
    return RowTest(first=first, other=other, n=len(cases), n_differing=n_differing, p=p)


def _by_case(runs: Sequence[EvaluatedRun], metric: str) -> dict[tuple[str, str], float]:
    """Site and case -> the mean over the seeds; cases that every seed defines."""
    values: dict[tuple[str, str], list[float]] = defaultdict(list)
    rows: list[CaseRow] = [row for run in runs for row in run.rows if row.failed is None]
    for row in rows:
        value = row.metric(metric)
        if value is not None:
            values[row.site, row.name].append(float(value))
    n_seeds = len({run.seed for run in runs})
    return {case: statistics.fmean(of) for case, of in values.items() if len(of) == n_seeds}
