"""report.html: one run for a reader who was not there, in one file that can be mailed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import ConfigError, RunFolderError
from common.figures.page import png_uri, rendered_page, svg_uri, write_page
from common.metrics.presets import LesionDefinition, preset
from common.settings import read_toml
from server.report.charts import run_charts
from server.report.run_record import RunRecord, read_run
from server.report.verdict import site_verdict, worst_site

COLLAPSED_SPREAD = 1e-3
"""A head whose answer spreads less than this says the same of every image (chosen)."""


@dataclass(frozen=True, slots=True)
class Figure:
    """An image that the page holds whole, and what it shows in words."""

    title: str
    source: str
    alt: str


def write_report(run_folder: Path, *, images: bool = True) -> Path:
    """Path of the run's report.html, made from what the folder holds by now.

    images   False leaves every picture of a patient out, for a report that may be passed on

    A run that goes on, was stopped or failed has its report too; only a folder without a readable
    events.jsonl has none (RunFolderError).
    """
    record = read_run(run_folder / "events.jsonl")
    path = run_folder / "report.html"
    mosaics = _mosaics(run_folder / "evaluation") if images else []
    html = rendered_page(
        "report.html.j2",
        package="server.report",
        values=_values(record, run_folder) | {"mosaics": mosaics, "images": images},
    )
    write_page(path, html)
    return path


def _values(record: RunRecord, run_folder: Path) -> dict[str, Any]:
    unseen = [site_verdict(record, site) for site in record.sites("unseen")]
    validation = [site_verdict(record, site) for site in record.sites("validation")]
    recipe_file = run_folder / "recipe.toml"
    return {
        "run": record,
        "unseen": unseen,
        "validation": validation,
        "worst": worst_site(unseen),
        "charts": [
            Figure(chart.title, svg_uri(chart.svg()), chart.in_words())
            for chart in run_charts(record, unseen)
        ],
        "collapsed_sites": collapsed_sites(record),
        "definition": _definition(recipe_file),
        "recipe": _text(recipe_file),
        "environment": _environment(run_folder / "environment.json"),
    }


def collapsed_sites(record: RunRecord) -> list[str]:
    """Training sites whose site head, in their last reply, said the same of every image."""
    last = {site: reply for r in record.training for site, reply in r.replies.items()}
    spreads = {site: reply.fact("head_spread") for site, reply in last.items()}
    return [
        site for site, spread in spreads.items() if spread is not None and spread < COLLAPSED_SPREAD
    ]


def _mosaics(folder: Path) -> list[Figure]:
    """The pictures that lie at evaluation/<site>/<case>.png."""
    return [
        Figure(
            f"{picture.parent.name}: {picture.stem}",
            png_uri(picture.read_bytes()),
            f"Slices of {picture.stem} of {picture.parent.name}: FLAIR, reference, prediction",
        )
        for picture in sorted(folder.glob("*/*.png"))
    ]


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
