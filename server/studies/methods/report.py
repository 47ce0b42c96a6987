"""study.html: the methods side by side, in one file; no picture of a patient."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.figures.page import rendered_page, svg_uri, write_page
from common.metrics.presets import preset
from common.recipe.provenance import dotted_values
from server.evaluation.case_row import CaseRow
from server.papers.paper_figures import PaperFigure
from server.papers.paper_table import PaperTable, all_notes, as_grid
from server.studies.methods.plan import Method, MethodsPlan
from server.studies.methods.site_probes import probes_by_method
from server.studies.methods.unseen_sites import MethodAtUnseen
from server.studies.run_results import RunResult, summaries_by_site
from server.studies.study_folder import StudyFolder


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One setting that is not the same in all methods. values: one a method, as text."""

    key: str
    values: tuple[str, ...]


def write_study_page(
    folder: StudyFolder[MethodsPlan],
    results: Sequence[RunResult],
    table: PaperTable,
    figures: Sequence[PaperFigure],
    at_unseen: Sequence[MethodAtUnseen],
) -> None:
    """Writes the page of the study; the runs' own reports are linked, not held."""
    plan = folder.plan()
    header, rows = as_grid(table)
    rows_of_method: dict[str, list[CaseRow]] = {}
    for result in results:
        rows_of_method.setdefault(result.run.method, []).extend(result.rows)
    values: dict[str, Any] = {
        "name": folder.path.resolve().name,
        "plan": plan,
        "paper": table.paper,
        "header": header,
        "rows": rows,
        "n_ours": len(table.lines),
        "notes": all_notes(table),
        "figures": [(svg_uri(f.drawing.svg()), f.drawing.in_words(), f.caption) for f in figures],
        "at_unseen": at_unseen,
        "by_site": summaries_by_site(rows_of_method),
        "probes": probes_by_method(results),
        "runs": results,
        "failed": [result for result in results if result.outcome.failed is not None],
        "differences": _differences(plan),
        "definition": preset(plan.methods[0].recipe.evaluation.preset),
        "recipe": json.dumps(plan.methods[0].recipe.model_dump(mode="json"), indent=1),
    }
    html = rendered_page("study.html.j2", package="server.studies.methods", values=values)
    write_page(folder.page_file, html)


def _differences(plan: MethodsPlan) -> list[Difference]:
    """The settings in which the methods differ: all else is the same."""
    tables: list[Mapping[str, object]] = [
        {"training data": _training_data(method)}
        | dotted_values(method.recipe.model_dump(mode="json"))
        for method in plan.methods
    ]
    keys = dict.fromkeys(key for table in tables for key in table)
    return [
        Difference(key=key, values=tuple(_shown(table, key) for table in tables))
        for key in keys
        if len({_shown(table, key) for table in tables}) > 1
    ]


def _training_data(method: Method) -> str:
    if method.alone is not None:
        return f"{method.alone} alone"
    return "pooled" if method.pooled else "at the sites"


def _shown(table: Mapping[str, object], key: str) -> str:
    return json.dumps(table[key]) if key in table else "\N{EN DASH}"
