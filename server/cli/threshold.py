"""`lesionfed threshold`: a trained model's decision threshold, chosen on sites named for it."""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from common.cli.output_paths import require_output_files, require_output_folder
from common.errors import ConfigError
from server.cli.options import LabelsAreLocal, ModelFile, Overwrite, Quiet, named_folders

if TYPE_CHECKING:
    from common.metrics.threshold_choice import ThresholdChoice

METRIC_NAMES = {"dice": "mean Dice", "lesion_f1": "mean lesion F1"}


def threshold(
    model: ModelFile,
    on: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=PATH", help="A site to choose on; never an unseen one. Repeat for each."
        ),
    ],
    by: Annotated[
        Literal["dice", "lesion_f1"], typer.Option(help="Which mean over the cases to maximize.")
    ] = "dice",
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for thresholds.csv, thresholds.svg and the prepared cases."),
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Store the choice in the model file.")
    ] = False,
    labels_are_local: LabelsAreLocal = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Annotated[bool, typer.Option("--json", help="The sweep and the choice.")] = False,
) -> None:
    """Tries 0.05 to 0.95 on every case of the sites, and names the best decision threshold.

    Choose on validation sites. A threshold chosen on an unseen site voids the verdict on that site:
    it has then been looked at. Where the model lies in its run's folder, the folders, subjects and
    images of the run's unseen and training sites are refused; a model file alone cannot tell, and a
    note says so.
    """
    from rich.console import Console

    from common.model_file import read_model, write_model
    from server.evaluation.threshold import choose_threshold
    from server.run.data_record import places_of
    from server.run.leakage import examined_places
    from server.run.participation import (
        remember_threshold_sites,
        require_may_choose,
        require_no_leakage,
    )

    sites = named_folders(on, option="--on")
    if not sites:
        raise ConfigError("want at least one --on NAME=PATH")
    require_may_choose(model, sites)
    if out is not None:
        _require_free(out, model, sites, overwrite=overwrite)
    loaded = read_model(model)
    chosen_on = examined_places(
        places_of(sites, "threshold"), recipe=loaded.recipe, labels_are_local=labels_are_local
    )
    note = require_no_leakage(
        model,
        chosen_on,
        parts={"train", "evaluate", "unseen"},
        labels_are_local=labels_are_local,
    )
    if note is not None:
        print(f"note: {note}", file=sys.stderr)
    console = Console(stderr=True, quiet=quiet or as_json)
    place = tempfile.TemporaryDirectory() if out is None else nullcontext(str(out))
    with place as folder, console.status("opening the sites") as status:
        sweep = choose_threshold(
            loaded,
            sites,
            by=by,
            store=Path(folder) / "prepared",
            on_case=lambda name, number, n: status.update(f"{name}, case {number} of {n}"),
        )
    if out is not None:
        _write_sweep(sweep.choice, out)
    if write:
        write_model(loaded.with_choice(sweep.choice), model)
        remember_threshold_sites(model, chosen_on)
    if as_json:
        facts = {
            **dataclasses.asdict(sweep.choice),
            "at_edge": sweep.choice.at_edge,
            "failed": sweep.failed,
            "written": write,
        }
        print(json.dumps(facts))
        return
    _show(sweep.choice)
    for name, reason in sweep.failed.items():
        print(f"left out  {name}: {reason}")
    if write:
        print(f"stored in  {model}, which had {loaded.threshold:g}")
    if out is not None:
        print(f"sweep  {out / 'thresholds.csv'}")


def _require_free(out: Path, model: Path, sites: Mapping[str, Path], *, overwrite: bool) -> None:
    """Nothing, or ConfigError where writing into `out` would cost something that lies there."""
    if (out / "cases.csv").exists():
        raise ConfigError(
            f"--out {out}: an evaluation is kept there, with a thresholds.csv of its own. "
            "Choose another folder."
        )
    reads = {"MODEL": model, **{f"--on {name}": folder for name, folder in sites.items()}}
    require_output_folder("--out", out, reads=reads)
    writes = {"--out": out / "thresholds.csv"}
    require_output_files(writes, reads=reads, overwrite=overwrite, make_folders=True)


def _show(choice: ThresholdChoice) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("threshold", "mean Dice", "mean lesion F1", "cases", "")
    for at, dice, lesion_f1 in _points(choice):
        chosen = "chosen" if at == choice.threshold else ""
        table.add_row(f"{at:.2f}", f"{dice:.4f}", f"{lesion_f1:.4f}", str(choice.n_cases), chosen)
    Console().print(table)
    if choice.smallest_mm3 is not None:
        print(f"chosen  lesions of less than {choice.smallest_mm3:g} mm3 are dropped")
    print(f"chosen  {choice.threshold:g}, by {METRIC_NAMES[choice.by]}, on {choice.split}")
    if choice.at_edge:
        print("This is the edge of the grid: the best threshold may lie beyond it.")


def _write_sweep(choice: ThresholdChoice, out: Path) -> None:
    """thresholds.csv and thresholds.svg."""
    from common.figures.threshold_chart import ThresholdChart, ThresholdLine
    from common.files import write_whole
    from server.evaluation.case_row import as_csv

    rows = [
        {
            "threshold": at,
            "mean_dice": dice,
            "mean_lesion_f1": lesion_f1,
            "n_cases": choice.n_cases,
            "chosen": int(at == choice.threshold),
        }
        for at, dice, lesion_f1 in _points(choice)
    ]
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "thresholds.csv", as_csv(rows))
    chart = ThresholdChart(
        title=f"Decision threshold, {choice.n_cases} cases of {choice.split}",
        thresholds=choice.thresholds,
        lines=[
            ThresholdLine(label=METRIC_NAMES["dice"], values=choice.mean_dice),
            ThresholdLine(label=METRIC_NAMES["lesion_f1"], values=choice.mean_lesion_f1),
        ],
        chosen=choice.threshold,
    )
    write_whole(out / "thresholds.svg", chart.svg().encode())


def _points(choice: ThresholdChoice) -> list[tuple[float, float, float]]:
    """Threshold, mean Dice and mean lesion F1."""
    return list(zip(choice.thresholds, choice.mean_dice, choice.mean_lesion_f1, strict=True))
