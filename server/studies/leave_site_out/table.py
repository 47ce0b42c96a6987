"""The pooled table of a study: every method over all unseen cases, with its worst site."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from server.evaluation.case_row import CaseRow
from server.evaluation.site_summary import SiteSummary, summarize_site, summarize_sites, worst_site
from server.studies.leave_site_out.cells import Cell, rows_of

METHODS: tuple[str, ...] = ("federated", "pooled", "local", "baseline")
METRICS = ("dice", "lesion_f1", "lesion_sensitivity", "lesion_ppv", "hd95_mm", "assd_mm")


@dataclass(frozen=True, kw_only=True, slots=True)
class TableRow:
    """One line of table.csv: one metric of one method.

    n                 cases in which the metric is defined: those the averages are over
    pooled            over all voxels of all scored cases together; of Dice alone
    worst_site        the site with the worst mean, and that mean; None with fewer than two sites
    """

    method: str
    metric: str
    n_planned: int
    n_scored: int
    n: int
    mean: float | None
    median: float | None
    q1: float | None
    q3: float | None
    pooled: float | None
    worst_site: str | None
    worst_site_mean: float | None


def table_rows(cells: Sequence[Cell]) -> list[TableRow]:
    """One row a method and metric over every site's cases, each evaluated where it was unseen."""
    return [
        row
        for method in METHODS
        if (rows := rows_of(cells, method))
        for row in _of_method(method, rows)
    ]


def _of_method(method: str, rows: Sequence[CaseRow]) -> list[TableRow]:
    by_site = summarize_sites(rows)
    together = summarize_site([dataclasses.replace(row, site="all sites") for row in rows])
    return [_row(method, metric, together, by_site) for metric in METRICS]


def _row(
    method: str, metric: str, together: SiteSummary, by_site: Sequence[SiteSummary]
) -> TableRow:
    spread = together.metric(metric)
    worst = worst_site(by_site, metric)
    return TableRow(
        method=method,
        metric=metric,
        n_planned=together.n_planned,
        n_scored=together.n_scored,
        n=spread.n,
        mean=spread.mean,
        median=spread.median,
        q1=spread.q1,
        q3=spread.q3,
        pooled=together.pooled_dice if metric == "dice" else None,
        worst_site=worst.site if worst else None,
        worst_site_mean=worst.metric(metric).mean if worst else None,
    )
