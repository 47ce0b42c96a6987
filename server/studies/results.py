"""What a study leaves behind: its tables as files, its figures, and its page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from common.files import write_whole
from server.evaluation.case_row import PLACE, as_csv
from server.evaluation.site_summary import as_rows, summarize_sites
from server.papers.evaluated_run import EvaluatedRun
from server.papers.paper_figures import paper_figures
from server.papers.paper_table import PaperTable, paper_of, paper_table, write_paper
from server.papers.published import Paper
from server.studies.judged import read_judged
from server.studies.plan import PlannedRun
from server.studies.report import write_page_of
from server.studies.study_folder import StudyFolder


def write_results(folder: StudyFolder, *, paper: Paper | None = None) -> PaperTable:
    """Writes table.csv, summary.csv, the paper's table, the figures and the page, from the runs.

    paper   whose table and figures; None: that which the recipe is named after
    Returns the paper's table.
    The same runs give the same bytes in every table.
    """
    paper = paper or paper_of(folder.plan().methods[0].recipe.name)
    judged = read_judged(folder)
    columns = ["variant", "seed", "fold", *PLACE]
    write_whole(folder.table_file, as_csv(_cases(judged), columns=columns))
    write_whole(folder.summary_file, as_csv(_summary(judged)))
    runs = [run for _, run in judged]
    table, figures = paper_table(paper, runs), paper_figures(paper, runs)
    write_paper(folder.path, table, figures)
    write_page_of(folder, runs, table, figures)
    return table


def _cases(judged: Sequence[tuple[PlannedRun, EvaluatedRun]]) -> list[dict[str, Any]]:
    """One row a case: the run, then the case."""
    return [
        {"variant": run.method, "seed": run.seed, "fold": run.fold, **row.as_dict()}
        for run, outcome in judged
        for row in outcome.rows
    ]


def _summary(judged: Sequence[tuple[PlannedRun, EvaluatedRun]]) -> list[dict[str, Any]]:
    """One row a method, seed and site."""
    return [
        {"variant": run.method, "seed": run.seed, "fold": run.fold, **row}
        for run, outcome in judged
        for row in as_rows(summarize_sites(outcome.rows))
    ]
