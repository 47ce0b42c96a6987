"""leave-site-out.html: the study in one file; no picture of a patient."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from common.figures.page import rendered_page, svg_uri, write_page
from common.metrics.presets import preset
from server.report.evaluation_figures import cases_by_site
from server.studies.leave_site_out.cells import Cell, rows_of
from server.studies.leave_site_out.grid import grid
from server.studies.leave_site_out.plan import LeaveSiteOutPlan
from server.studies.leave_site_out.table import METHODS, table_rows
from server.studies.leave_site_out.verdict import method_names, verdict
from server.studies.run_results import RunResult, summaries_by_site
from server.studies.study_folder import StudyFolder

METRIC_NAMES = {
    "dice": "Dice",
    "lesion_f1": "Lesion F1",
    "lesion_sensitivity": "Lesion sensitivity",
    "lesion_ppv": "Lesion PPV",
    "hd95_mm": "HD95, mm",
    "assd_mm": "ASSD, mm",
}


def write_study_page(
    folder: StudyFolder[LeaveSiteOutPlan], results: Sequence[RunResult], cells: Sequence[Cell]
) -> None:
    """Writes the page of the study from its cells; the runs' own reports are linked, not held."""
    plan = folder.plan()
    names = method_names(plan.recipe.task)
    table = table_rows(cells)
    chart = cases_by_site(
        rows_of(cells, "federated"),
        "dice",
        title="Dice of the federated networks at the sites they never saw",
    )
    by_site = summaries_by_site({names[method]: rows_of(cells, method) for method in METHODS})
    values: dict[str, Any] = {
        "name": folder.path.resolve().name,
        "plan": plan,
        "names": names,
        "metric_names": METRIC_NAMES,
        "chart": None if chart.is_empty else (svg_uri(chart.svg()), chart.in_words()),
        "verdict": verdict(cells, table, names=names),
        "runs": results,
        "failed": [result for result in results if result.outcome.failed is not None],
        "grids": [
            (
                title,
                grid(cells, sites=plan.names, metric=metric, threshold_name=names["baseline"]),
            )
            for title, metric in (("Mean Dice", "dice_mean"), ("Mean lesion F1", "lesion_f1_mean"))
        ],
        "table": table,
        "by_site": {site: by_site.get(site, []) for site in plan.names},
        "definition": preset(plan.recipe.evaluation.preset),
        "recipe": json.dumps(plan.recipe.model_dump(mode="json"), indent=1),
    }
    html = rendered_page(
        "leave_site_out.html.j2", package="server.studies.leave_site_out", values=values
    )
    write_page(folder.page_file, html)
