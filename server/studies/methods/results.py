"""The results of a study of methods: its tables as files, its figures, and its page."""

from __future__ import annotations

from typing import Any

from common.files import write_whole
from server.evaluation.case_row import PLACE, as_csv
from server.evaluation.site_summary import as_rows, summarize_sites
from server.papers.evaluated_run import EvaluatedRun
from server.papers.paper_figures import paper_figures
from server.papers.paper_table import PaperTable, paper_of, paper_table, write_paper
from server.papers.published import Paper
from server.studies.methods.plan import MethodsPlan
from server.studies.methods.report import write_study_page
from server.studies.methods.site_probes import COLUMNS, probe_rows
from server.studies.methods.unseen_figures import unseen_figures
from server.studies.methods.unseen_sites import methods_at_unseen, unseen_rows
from server.studies.run_results import RunResult, read_results
from server.studies.study_folder import StudyFolder


def write_results(folder: StudyFolder[MethodsPlan], *, paper: Paper | None = None) -> PaperTable:
    """Writes the study's tables (.csv), the paper's table, the figures and the page.

    paper   whose table and figures; None: that which the recipe is named after
    Returns the paper's table.
    The same runs give the same bytes in every table.
    """
    paper = paper or paper_of(folder.plan().methods[0].recipe.name)
    results = read_results(folder)
    cases = [_labelled(result, row.as_dict()) for result in results for row in result.rows]
    columns = ["variant", "seed", "fold", *PLACE]
    write_whole(folder.table_file, as_csv(cases, columns=columns))
    sites = [
        _labelled(result, row)
        for result in results
        for row in as_rows(summarize_sites(result.rows))
    ]
    write_whole(folder.summary_file, as_csv(sites))
    at_unseen = methods_at_unseen(results)
    write_whole(folder.unseen_file, as_csv(unseen_rows(at_unseen)))
    write_whole(folder.site_probe_file, as_csv(probe_rows(results), columns=COLUMNS))
    runs = [_evaluated(result) for result in results]
    table = paper_table(paper, runs)
    figures = [*unseen_figures(at_unseen), *paper_figures(paper, runs)]
    write_paper(folder.path, table, figures)
    write_study_page(folder, results, table, figures, at_unseen)
    return table


def _labelled(result: RunResult, row: dict[str, Any]) -> dict[str, Any]:
    """The row with its run in front."""
    run = result.run
    return {"variant": run.method, "seed": run.seed, "fold": run.fold, **row}


def _evaluated(result: RunResult) -> EvaluatedRun:
    return EvaluatedRun(
        label=result.run.method,
        seed=result.run.seed,
        rows=result.rows,
        sweeps=result.evaluation.sweeps() if result.outcome.failed is None else {},
        record=result.record,
    )
