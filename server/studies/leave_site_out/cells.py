"""Every case where it was unseen, by method and by the sites that were learned from."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from server.evaluation.case_row import CaseRow, Value, read_cases
from server.evaluation.evaluation_folder import EvaluationFolder
from server.studies.leave_site_out.plan import Plan, PlannedRun
from server.studies.leave_site_out.run import outcome_of
from server.studies.leave_site_out.study_folder import Judged, StudyFolder
from server.studies.planned import rows_without_result


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One network, or one threshold, at one site that it never saw.

    failed   why the run has no result, or None
    rows     one a planned case of the site, also where the run failed
    """

    method: Judged
    trained_on: tuple[str, ...]
    tested_on: str
    failed: str | None
    rows: tuple[CaseRow, ...]


def read_cells(folder: StudyFolder) -> list[Cell]:
    """Every cell of the matrix, in the order of the plan; the intensity threshold's come last.

    The threshold is that of the federated run: tuned on the same training sites.
    """
    plan = folder.plan()
    cells = [
        _cell(folder, plan, run, site, run.method) for run in plan.runs() for site in run.tested_on
    ]
    federated = [run for run in plan.runs() if run.method == "federated"]
    return cells + [_cell(folder, plan, run, run.tested_on[0], "baseline") for run in federated]


def rows_of(cells: Iterable[Cell], method: Judged) -> list[CaseRow]:
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


def _cell(folder: StudyFolder, plan: Plan, run: PlannedRun, site: str, method: Judged) -> Cell:
    failed = outcome_of(folder, run).failed
    if failed is None:
        evaluation = EvaluationFolder(folder.run_folder(run).evaluation)
        file = evaluation.baseline_file if method == "baseline" else evaluation.cases_file
        rows = [row for row in read_cases(file) if row.site == site]
    else:
        rows = rows_without_result(site, plan.data[site], plan.recipe.task, reason="the run failed")
    return Cell(
        method=method,
        trained_on=run.trained_on,
        tested_on=site,
        failed=None if failed is None else failed.partition(":")[0],  # the text may hold paths
        rows=tuple(rows),
    )


def _mean_row(rows: Sequence[CaseRow]) -> CaseRow:
    """The only row as it is; else the mean over the networks that scored the case."""
    scored = [row for row in rows if row.failed is None]
    if len(rows) == 1 or not scored:
        return rows[0]
    names = dict.fromkeys(name for row in scored for name in row.metrics)
    means = {name: _mean([row.metric(name) for row in scored]) for name in names}
    first = scored[0]
    return CaseRow(site=first.site, subject=first.subject, session=first.session, metrics=means)


def _mean(values: Sequence[Value]) -> float | None:
    defined = [value for value in values if value is not None]
    return statistics.fmean(defined) if defined else None
