"""A comparison as rows for CSV and as an object for JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from server.compare.bca import LEVEL, N_RESAMPLES
from server.compare.paired import Comparison, PairedMetric

METHODS = (
    "Difference: the other run minus the first, over cases both scored and that define the metric; "
    f"interval: {LEVEL:.0%} BCa bootstrap of the mean difference, {N_RESAMPLES:,} resamples of "
    "subjects within their site, all sessions of a subject together (a site with one subject adds "
    "no spread); "
    "p: Wilcoxon signed-rank, two-sided, zero differences left out, each session a case of its own "
    "(so p is too small where subjects have several); "
    "effect: matched-pairs rank-biserial correlation; "
    "Holm: p corrected for all metrics and runs shown."
)

NO_TEST_ACROSS_SITES = (
    "What is shown holds for these sites. No significance test is made across sites: too few of "
    "them to say how the runs would compare at another one."
)


def as_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """One flat row a metric and pair of runs; undefined is None."""
    return [_row(line) for line in comparison.metrics]


def as_dict(comparison: Comparison) -> dict[str, Any]:
    """The whole comparison, ready for JSON: the rows, each with its sites and its cases."""
    return {
        "runs": list(comparison.labels),
        "n_cases": comparison.n_cases,
        "sites": list(comparison.sites),
        "left_out": dict(comparison.left_out),
        "metrics": [
            {
                **_row(line),
                "by_site": [asdict(site) for site in line.by_site],
                "cases": [asdict(pair) | {"difference": pair.difference} for pair in line.pairs],
            }
            for line in comparison.metrics
        ],
        "methods": METHODS,
        "note": NO_TEST_ACROSS_SITES,
    }


def _row(line: PairedMetric) -> dict[str, Any]:
    return {
        "first": line.first,
        "other": line.other,
        "metric": line.metric,
        "n": line.n,
        "n_patients": line.n_subjects,
        "n_failed": line.n_failed,
        "n_undefined": line.n_undefined,
        "mean_first": line.mean_first,
        "mean_other": line.mean_other,
        "mean_difference": line.mean_difference,
        "low": None if line.interval is None else line.interval[0],
        "high": None if line.interval is None else line.interval[1],
        "rank_biserial": line.rank_biserial,
        "p": line.p,
        "p_holm": line.p_holm,
    }
