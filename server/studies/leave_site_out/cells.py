"""Every case evaluated where its site was unseen, by method and training sites."""

from __future__ import annotations

import dataclasses
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from server.evaluation.case_row import CaseRow, read_cases
from server.evaluation.site_summary import defined
from server.studies.run_results import RunResult


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One network, or one threshold, at one site that it never saw.

    method   federated, pooled, local, or baseline for the intensity threshold
    failed   why the run has no result, or None
    rows     one a planned case of the site, also where the run failed
    """

    method: str
    trained_on: tuple[str, ...]
    tested_on: str
    failed: str | None
    rows: tuple[CaseRow, ...]


def cells_of(results: Sequence[RunResult]) -> list[Cell]:
    """Every cell of the matrix, in the order of the plan; the intensity threshold's come last.

    The threshold is that of the federated run: tuned on the same training sites.
    """
    networks = [
        _cell(result, result.run.method, site, result.rows)
        for result in results
        for site in result.run.parts.unseen
    ]
    thresholds = [
        _cell(result, "baseline", result.run.parts.unseen[0], _baseline_rows(result))
        for result in results
        if result.run.method == "federated"
    ]
    return networks + thresholds


def rows_of(cells: Iterable[Cell], method: str) -> list[CaseRow]:
    """One row for every case of the study, by one method; the order is that of the cells.

    `local` has several networks a case: the row holds the mean of each metric over the networks in
    which it is defined. A case fails where every network failed on it.
    """
    rows: dict[tuple[str, str], list[CaseRow]] = defaultdict(list)
    for cell in cells:
        if cell.method == method:
            for row in cell.rows:
                rows[row.site, row.name].append(row)
    return [_mean_row(of_case) for of_case in rows.values()]


def _cell(result: RunResult, method: str, site: str, rows: Iterable[CaseRow]) -> Cell:
    failed = result.outcome.failed
    return Cell(
        method=method,
        trained_on=result.run.parts.train,
        tested_on=site,
        failed=None if failed is None else failed.partition(":")[0],  # the text may hold paths
        rows=tuple(row for row in rows if row.site == site),
    )


def _baseline_rows(result: RunResult) -> Sequence[CaseRow]:
    """The threshold's row for every case; failed ones where the run has no result."""
    if result.outcome.failed is not None:
        return result.rows
    return read_cases(result.evaluation.baseline_file)


def _mean_row(rows: Sequence[CaseRow]) -> CaseRow:
    """The only row as it is; else the mean over the networks that scored the case."""
    scored = [row for row in rows if row.failed is None]
    if len(rows) == 1 or not scored:
        return rows[0]
    names = dict.fromkeys(name for row in scored for name in row.metrics)
    means = {
        name: statistics.fmean(values) if (values := defined(scored, name)) else None
        for name in names
    }
    first = scored[0]
    return dataclasses.replace(first, metrics=means)
