"""study.html: the methods side by side for a reader who was not there; no picture of a patient."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.figures.page import rendered_page, svg_uri, write_page
from common.metrics.presets import preset
from common.recipe.provenance import dotted_values
from server.evaluation.site_summary import SiteSummary, summarize_sites
from server.papers.judged_run import JudgedRun
from server.papers.paper_figures import PaperFigure
from server.papers.paper_table import PaperTable, all_notes, as_grid
from server.studies.many_runs import Outcome, outcome_at
from server.studies.plan import Plan, PlannedRun
from server.studies.study_folder import StudyFolder


@dataclass(frozen=True, kw_only=True, slots=True)
class RunLine:
    """One network of the study, as the page lists it."""

    run: PlannedRun
    outcome: Outcome
    has_report: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One setting that is not the same in all methods. values: one a method, as text."""

    key: str
    values: tuple[str, ...]


def write_page_of(
    folder: StudyFolder,
    runs: Sequence[JudgedRun],
    table: PaperTable,
    figures: Sequence[PaperFigure],
) -> None:
    """Writes the page of the study; the runs' own reports are linked, not held."""
    plan = folder.plan()
    lines = [
        RunLine(
            run=run,
            outcome=outcome_at(folder.path / run.place),
            has_report=(folder.path / run.place / "report.html").exists(),
        )
        for run in plan.runs()
    ]
    header, rows = as_grid(table)
    values: dict[str, Any] = {
        "name": folder.path.resolve().name,
        "plan": plan,
        "paper": table.paper,
        "header": header,
        "rows": rows,
        "n_ours": len(table.lines),
        "notes": all_notes(table),
        "figures": [(svg_uri(f.drawing.svg()), f.drawing.in_words(), f.caption) for f in figures],
        "by_site": _by_site(runs),
        "runs": lines,
        "failed": [line for line in lines if line.outcome.failed is not None],
        "differences": _differences(plan),
        "definition": preset(plan.methods[0].recipe.evaluation.preset),
        "recipe": json.dumps(plan.methods[0].recipe.model_dump(mode="json"), indent=1),
    }
    html = rendered_page("study.html.j2", package="server.studies", values=values)
    write_page(folder.page_file, html)


def _by_site(runs: Sequence[JudgedRun]) -> list[tuple[str, list[tuple[str, SiteSummary]]]]:
    """Site -> each method's summary there, over the cases of all seeds."""
    rows: dict[str, list[Any]] = {}
    for run in runs:
        rows.setdefault(run.label, []).extend(run.rows)
    summaries = {
        label: {summary.site: summary for summary in summarize_sites(of_label)}
        for label, of_label in rows.items()
    }
    sites = dict.fromkeys(site for found in summaries.values() for site in found)
    return [
        (site, [(label, found[site]) for label, found in summaries.items() if site in found])
        for site in sites
    ]


def _differences(plan: Plan) -> list[Difference]:
    """The settings in which the methods differ: all else is the same."""
    tables: list[Mapping[str, object]] = [
        dotted_values(method.recipe.model_dump(mode="json")) for method in plan.methods
    ]
    keys = dict.fromkeys(key for table in tables for key in table)
    return [
        Difference(key=key, values=tuple(_shown(table, key) for table in tables))
        for key in keys
        if len({_shown(table, key) for table in tables}) > 1
    ]


def _shown(table: Mapping[str, object], key: str) -> str:
    return json.dumps(table[key]) if key in table else "\N{EN DASH}"
