"""`lesionfed evaluate`: a trained model on sites that never took part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from common.cli.named_folders import named_folders
from common.errors import ConfigError


def evaluate(
    model: Annotated[Path, typer.Argument(help="model.safetensors of a run.")],
    held_out: Annotated[
        list[str], typer.Option(metavar="NAME=PATH", help="An unseen site. Repeat for each.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for cases.csv and a picture a case.")] = Path(
        "evaluation"
    ),
    images: Annotated[bool, typer.Option(help="Whether to draw the cases.")] = True,
    quiet: Annotated[bool, typer.Option(help="No progress.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Every case's row as JSON.")] = False,
) -> None:
    """Scores a model file case by case on held-out sites."""
    from rich.console import Console
    from rich.table import Table

    from common.model_file import read_model
    from server.cli.run_progress import shown
    from server.evaluate import evaluate as evaluate_sites

    sites = named_folders(held_out, option="--held-out")
    if not sites:
        raise ConfigError("want at least one --held-out NAME=PATH")
    console = Console(stderr=True, quiet=quiet or as_json)
    with console.status("scoring"):
        by_site = evaluate_sites(
            read_model(model), sites, out=out, store=out / "prepared", images=images
        )
    if as_json:
        rows = [{"site": site, **row.as_dict()} for site, rows in by_site.items() for row in rows]
        print(json.dumps(rows))
        return
    table = Table("site", "case", "Dice", "lesion F1", "lesion sensitivity", "lesion PPV")
    metrics = ("dice", "lesion_f1", "lesion_sensitivity", "lesion_ppv")
    for site, of_site in by_site.items():
        for row in of_site:
            figures = [shown(row.metrics.get(metric)) for metric in metrics]
            table.add_row(site, row.name, *(figures if row.failed is None else [row.failed]))
    Console().print(table)
    print(f"rows  {out / 'cases.csv'}")
