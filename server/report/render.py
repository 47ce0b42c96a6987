"""report.html: one run for a reader who did not follow it, in one file that can be mailed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from common.errors import ConfigError, RunFolderError
from common.figures.page import rendered_page, svg_uri, write_page
from common.figures.viewer import script_digest
from common.metrics.presets import LesionDefinition, preset
from common.metrics.threshold_choice import ThresholdChoice
from common.recipe.preprocessing import Preprocessing
from common.recipe.task import Task
from common.recipe.task_labels import UNKNOWN, TaskLabels, task_labels
from common.settings import read_toml
from server.compare.paired import Comparison
from server.evaluation.case_row import as_csv
from server.evaluation.evaluation_folder import EvaluationFolder
from server.evaluation.scored_grid import scored_grid_in_words
from server.evaluation.site_summary import SiteSummary, summarize_sites, worst_site
from server.events.history import RunHistory, read_run
from server.events.lesion_metric_warnings import warnings_of_run
from server.events.threshold_events import ThresholdChosen
from server.report.bundle import TABLES, write_bundle
from server.report.charts import run_charts
from server.report.collapsed_head import head_has_collapsed
from server.report.evaluation_figures import (
    EvaluationTables,
    ReportDrawing,
    evaluation_drawings,
    metric_name,
    read_evaluation,
    where_tested,
)
from server.report.pictures import Pictures, pictures_of
from server.report.verdict import SiteVerdict, missed_choices, site_verdict
from server.run.run_folder import RunFolder


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportFigure:
    """A chart as the page and the bundle hold it, and a text description of it."""

    title: str
    svg: str
    alt: str

    @property
    def source(self) -> str:
        """The drawing as an address that holds it whole."""
        return svg_uri(self.svg)


def write_report(run_folder: Path, *, images: bool = True, bundle: Path | None = None) -> Path:
    """Path of the run's report.html, made from what the folder holds by now.

    images   False leaves every picture of a patient out, for a report that may be passed on
    bundle   a zip to write as well: the report, its figures, every table, recipe, lock and commit

    A run that continues, was stopped or failed has its report too; only a folder without a readable
    events.jsonl has none (RunFolderError).
    """
    history = read_run(run_folder / "events.jsonl")
    evaluation = EvaluationFolder(run_folder / "evaluation")
    judged = read_evaluation(evaluation)
    words = _words(run_folder / "recipe.toml")
    comparison = None if judged is None else judged.comparison(words.threshold)
    figures = _figures(history, judged, comparison, words)
    pictures = Pictures()
    if images and judged:
        pictures = pictures_of(evaluation, judged.cases, images=words.images)
    html = rendered_page(
        "report.html.j2",
        package="server.report",
        values=run_values(history, run_folder)
        | {
            "words": words,
            "figures": figures,
            "comparison": comparison,
            "pictures": pictures,
            "images": images,
            "judged": [] if judged is None else summarize_sites(judged.cases),
            "script_digest": script_digest(),
            "metric_names": metric_name,
        },
    )
    path = run_folder / "report.html"
    write_page(path, html)
    if bundle is not None:
        write_bundle(bundle, bundled_files(history, run_folder, html, figures))
    return path


def _figures(
    history: RunHistory,
    judged: EvaluationTables | None,
    comparison: Comparison | None,
    words: TaskLabels,
) -> dict[str, ReportFigure]:
    """File stem -> chart: the curves of the rounds, then the verdict."""
    drawings: dict[str, ReportDrawing] = {
        f"round-{_stem(chart.title)}": chart
        for chart in run_charts(history, threshold_name=words.threshold)
    }
    tested = where_tested(_mean_dice(history, words.threshold), own=history.sites("train"))
    if not tested.is_empty:
        drawings["tested-where"] = tested
    if judged is not None:
        drawings |= evaluation_drawings(judged, _choice(history), comparison, words=words)
    return {
        stem: ReportFigure(title=drawing.title, svg=drawing.svg(), alt=drawing.in_words())
        for stem, drawing in drawings.items()
    }


def _stem(title: str) -> str:
    """The title as part of a file's name: "Site's Dice" as sites-dice."""
    return title.lower().replace(" ", "-").translate({ord(character): None for character in "':,"})


def _mean_dice(history: RunHistory, threshold_name: str) -> dict[str, dict[str, float | None]]:
    """Method -> site -> mean Dice: held-out sites, and what the training sites kept back."""
    rows: dict[str, dict[str, float | None]] = {}
    for role in ("unseen", "validation"):
        for site in history.sites(role):
            verdict = site_verdict(history, site)
            for method, summary in (
                ("network", verdict.network),
                (threshold_name, verdict.baseline),
                ("before training", verdict.untrained),
            ):
                of_method = rows.setdefault(method, {})
                of_method[site] = None if summary is None else summary.metric("dice").mean
    return rows


def _choice(history: RunHistory) -> ThresholdChoice | None:
    """The sweep over kept-back cases that chose the threshold, if one did."""
    chosen = history.decision_threshold
    if not isinstance(chosen, ThresholdChosen):
        return None
    try:
        return ThresholdChoice(**chosen.model_dump(exclude={"time", "event"}))
    except ValueError as error:
        raise RunFolderError(
            f"events.jsonl: threshold-chosen: {error}. Restore the file from a backup."
        ) from None


def bundled_files(
    history: RunHistory, run_folder: Path, html: str, figures: Mapping[str, ReportFigure]
) -> dict[str, bytes]:
    """Name in the bundle -> content; what the run has not made is absent."""
    folder = RunFolder(run_folder)
    tables = {f"tables/{name}.csv": folder.evaluation / f"{name}.csv" for name in TABLES}
    files = {
        "recipe.toml": folder.recipe_file,
        "requirements.lock": folder.lock_file,
        "environment.json": folder.environment_file,
        "definition.json": folder.evaluation / "definition.json",
        **tables,
    }
    held = {name: path.read_bytes() for name, path in files.items() if path.exists()}
    drawn = {f"figures/{stem}.svg": figure.svg.encode() for stem, figure in figures.items()}
    words = _words(folder.recipe_file)
    held["tables/rounds.csv"] = as_csv(_curve_rows(history, words.threshold))
    if (choice := _choice(history)) is not None:
        held["tables/kept-back.csv"] = as_csv(
            {"threshold": threshold, "mean_dice": dice, "mean_lesion_f1": lesion_f1}
            for threshold, dice, lesion_f1 in zip(
                choice.thresholds, choice.mean_dice, choice.mean_lesion_f1, strict=True
            )
        )
    sites = json.dumps([site.model_dump() for site in history.started.sites], indent=1)
    return {"report.html": html.encode(), "sites.json": sites.encode(), **held, **drawn}


def _curve_rows(history: RunHistory, threshold_name: str) -> list[dict[str, Any]]:
    """Every point of the charts by round."""
    return [
        {"chart": chart.title, "line": curve.label, "round": at, "value": value}
        for chart in run_charts(history, threshold_name=threshold_name)
        for curve in chart.curves
        for at, value in curve.defined
    ]


def run_values(history: RunHistory, run_folder: Path) -> dict[str, Any]:
    """What the page shows of a run's history: name in the template -> value."""
    unseen = [site_verdict(history, site) for site in history.sites("unseen")]
    validation = [site_verdict(history, site) for site in history.sites("validation")]
    networks = [v.network for v in unseen if v.network is not None]
    recipe_file = run_folder / "recipe.toml"
    return {
        "run": history,
        "unseen": unseen,
        "validation": validation,
        "worst": worst_site(networks),
        "missed_choices": missed_choices(history),
        "scored_grid": scored_grid_in_words(networks),
        "on_prepared_grid": _on_prepared_grid(unseen, networks),
        "lesion_metric_warnings": warnings_of_run(history),
        "head_collapsed": head_has_collapsed(history),
        "definition": _definition(recipe_file),
        "recipe": _text(recipe_file),
        "environment": _environment(run_folder / "environment.json"),
    }


def _on_prepared_grid(unseen: Sequence[SiteVerdict], networks: Sequence[SiteSummary]) -> list[str]:
    """Cases that were scored there while others were on the scanner's own grid."""
    if not any(network.n_on_scanner_grid for network in networks):
        return []
    rows = [case.network for verdict in unseen for case in verdict.cases if case.network]
    return [f"{r.site} {r.name}" for r in rows if r.failed is None and r.grid == "prepared"]


def _words(recipe_file: Path) -> TaskLabels:
    """How what the recipe looks for is called; in general words where the folder does not say."""
    try:
        table = read_toml(recipe_file)
        task = Task.model_validate(table["task"])
        return task_labels(task, Preprocessing.model_validate(table.get("preprocessing", {})))
    except (ConfigError, KeyError, ValidationError):
        return UNKNOWN


def _definition(recipe_file: Path) -> LesionDefinition | None:
    """What the recipe takes for a lesion; None where the folder does not say."""
    try:
        return preset(str(read_toml(recipe_file)["evaluation"]["preset"]))
    except (ConfigError, KeyError, TypeError):
        return None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _environment(path: Path) -> dict[str, str]:
    """Each fact on versions and machine, nested ones joined with dots; empty without the file."""
    text = _text(path)
    try:
        facts = json.loads(text or "{}")
    except json.JSONDecodeError as error:
        raise RunFolderError(
            f"{path}: not JSON: {error.msg}. The run wrote it at its start; remove it to have the "
            "report without it."
        ) from None
    return dict(sorted(_flat(facts, ()))) if isinstance(facts, dict) else {}


def _flat(facts: dict[str, Any], above: tuple[str, ...]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for key, value in facts.items():
        name = (*above, key)
        pairs += _flat(value, name) if isinstance(value, dict) else [(".".join(name), str(value))]
    return pairs
