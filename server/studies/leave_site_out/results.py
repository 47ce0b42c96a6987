"""The results of a study: its tables as files, and its page."""

from __future__ import annotations

import dataclasses

from common.files import write_whole
from server.evaluation.case_row import as_csv, write_cases
from server.studies.leave_site_out.cells import Cell, cells_of, rows_of
from server.studies.leave_site_out.matrix import CellSummary, matrix_rows
from server.studies.leave_site_out.plan import LeaveSiteOutPlan
from server.studies.leave_site_out.report import write_study_page
from server.studies.leave_site_out.table import METHODS, TableRow, table_rows
from server.studies.run_results import read_results
from server.studies.study_folder import StudyFolder


def write_results(folder: StudyFolder[LeaveSiteOutPlan]) -> list[Cell]:
    """Writes cases.csv of each method, matrix.csv, table.csv and the page, from the runs.

    The same runs give the same bytes in every table. Returns the cells of the matrix.
    """
    results = read_results(folder)
    cells = cells_of(results)
    for method in METHODS:
        path = folder.cases_file(method)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_cases(path, rows_of(cells, method))
    matrix, table = matrix_rows(cells), table_rows(cells)
    write_whole(folder.matrix_file, _as_csv(matrix, CellSummary))
    write_whole(folder.table_file, _as_csv(table, TableRow))
    write_study_page(folder, results, cells)
    return cells


def _as_csv(rows: list[CellSummary] | list[TableRow], kind: type[CellSummary | TableRow]) -> bytes:
    columns = [field.name for field in dataclasses.fields(kind)]
    return as_csv([dataclasses.asdict(row) for row in rows], columns=columns)
