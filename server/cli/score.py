"""lesionfed score: segmentations judged against their references, one pair or whole folders."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click
import typer

from common.cli.output_paths import require_output_files
from common.errors import ConfigError, printable
from common.metrics.presets import ISBI2015, MSSEG2016, PRESETS, LesionDefinition, preset
from server.cli.options import Overwrite

if TYPE_CHECKING:
    from common.metrics.case import CaseScore
    from server.evaluation.score_folders import ScoredPair, Scoring
    from server.evaluation.site_summary import SiteSummary


def score(
    reference: Annotated[
        Path,
        typer.Argument(
            metavar="REF", help="Reference mask, NIfTI, or a folder of them.", show_default=False
        ),
    ],
    prediction: Annotated[
        Path,
        typer.Argument(
            metavar="PRED",
            help="Predicted mask or probability map, NIfTI, or a folder of them.",
            show_default=False,
        ),
    ],
    preset_name: Annotated[
        str,
        typer.Option(
            "--preset",
            click_type=click.Choice(list(PRESETS)),
            help="What a lesion is and when it counts as found.",
        ),
    ] = MSSEG2016.name,
    threshold: Annotated[
        float | None,
        typer.Option(
            help="Lesion is where a probability is above this, 0 to 1. Masks do not need it.",
            show_default=False,
        ),
    ] = None,
    resample: Annotated[
        bool,
        typer.Option(
            "--resample",
            help="Bring a prediction on another grid onto the reference's, nearest voxel.",
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="CSV to write: one row a case, undefined empty.", show_default=False),
    ] = None,
    lesions: Annotated[
        Path | None,
        typer.Option(help="CSV to write: one row a lesion of either mask.", show_default=False),
    ] = None,
    overwrite: Overwrite = False,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Folders: pairs scored at once.", show_default="the number of CPUs"
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object; null is undefined.")
    ] = False,
) -> None:
    """Score one segmentation against its reference, or a folder of them against another.

    Distances are in mm, volumes in mm3. A metric that has no meaning, such as the Dice of a scan
    without lesions, is undefined, never 0.

    In folders, files of one relative path belong together, else those whose names agree in sub-,
    ses-, run- and every other entity that both have. A reference that cannot be scored is a row
    with its reason, and the exit code is 1.
    """
    from server.evaluation.score_folders import Scoring  # numpy and nibabel: kept from --help

    if threshold is not None and not 0 <= threshold <= 1:
        raise ConfigError(f"--threshold: want a probability from 0 to 1, got {threshold:g}")
    require_output_files(
        {"--out": out, "--lesions": lesions},
        reads={"REF": reference, "PRED": prediction},
        overwrite=overwrite,
    )
    scoring = Scoring(
        definition=preset(preset_name),
        threshold=threshold,
        resample=resample,
        with_lesions=lesions is not None,
    )
    if not _are_folders(reference, prediction):
        scored = [_score_one(reference, prediction, scoring, as_json=as_json)]
    else:
        n_workers = workers or os.cpu_count() or 1
        scored = _score_all(reference, prediction, scoring, n_workers=n_workers, quiet=quiet)
        _show_all(scored, scoring, as_json=as_json)
    _write(scored, out=out, lesions=lesions, say=not as_json)
    if any(case.failed is not None for case in scored):
        raise typer.Exit(1)


def _are_folders(reference: Path, prediction: Path) -> bool:
    """Whether both are folders; ConfigError where only one is."""
    kinds = [path.is_dir() for path in (reference, prediction)]
    if kinds[0] == kinds[1]:
        return kinds[0]

    def kind(path: Path) -> str:
        found = "a folder" if path.is_dir() else "a file" if path.exists() else "nothing"
        return f"{path} is {found}"

    raise ConfigError(
        f"REF and PRED: want two files or two folders; {kind(reference)}, {kind(prediction)}. "
        "Give two files, or two folders."
    )


def _score_one(reference: Path, prediction: Path, scoring: Scoring, *, as_json: bool) -> ScoredPair:
    from common.imaging.bids_name import split_ending
    from server.evaluation.mask_pairs import Pair, contradictions
    from server.evaluation.score_folders import score_pair

    for text in contradictions(reference, prediction):
        print(f"warning: {text}", file=sys.stderr)
    case = printable(split_ending(reference.name)[0])
    pair = Pair(case=case, reference=reference, prediction=prediction)
    scored = score_pair(pair, scoring)
    assert scored.score is not None, "a single pair is scored or raises"
    if as_json:
        print(json.dumps(scored.score.as_dict(), allow_nan=False, indent=2))
    else:
        _print_table(scored.score)
    return scored


def _score_all(
    references: Path, predictions: Path, scoring: Scoring, *, n_workers: int, quiet: bool
) -> list[ScoredPair]:
    """Every case of two folders, with a bar on stderr."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from server.evaluation.mask_pairs import find_pairs
    from server.evaluation.score_folders import score_pairs

    found = find_pairs(references, predictions)
    for path in found.set_aside:
        print(f"note: {printable(path)}: no reference by its name, not scored", file=sys.stderr)
    for path in found.left_over:
        shown = printable(path)
        print(f"warning: {shown}: a prediction without a reference, not scored", file=sys.stderr)
    n_to_score = sum(pair.can_be_scored for pair in found.pairs)
    with Progress(
        TextColumn("scoring"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=quiet,
    ) as progress:
        task = progress.add_task("scoring", total=n_to_score)
        return score_pairs(
            found.pairs,
            scoring,
            n_workers=max(1, min(n_workers, n_to_score)),
            on_scored=lambda: progress.advance(task),
        )


def _show_all(scored: Sequence[ScoredPair], scoring: Scoring, *, as_json: bool) -> None:
    """The summary on stdout; each failure and each note on stderr."""
    from server.evaluation.score_folders import summary

    for case in scored:
        if case.failed is not None:
            print(f"failed: {case.case}: {case.failed}", file=sys.stderr)
        for note in case.score.notes if case.score is not None else ():
            print(f"note: {case.case}: {note}", file=sys.stderr)
    total = summary(scored)
    if as_json:
        cases = [
            {**case.as_dict(), "notes": list(case.score.notes) if case.score else []}
            for case in scored
        ]
        figures = {name: value for name, value in total.as_dict().items() if name != "site"}
        shown = {"definition": scoring.definition.as_dict(), "cases": cases, "summary": figures}
        print(json.dumps(shown, allow_nan=False, indent=2))
    else:
        _print_summary(total, scoring.definition)


def _print_table(scored: CaseScore) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("metric", caption=str(scored.definition), caption_justify="left")
    table.add_column("value", justify="right")
    for name, value in scored.metrics().items():
        table.add_row(name, _shown(value))
    console = Console()
    console.print(table)
    for note in scored.notes:
        console.print(f"note: {note}", markup=False)


def _print_summary(total: SiteSummary, definition: LesionDefinition) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("metric", caption=str(definition), caption_justify="left")
    for column in ("mean", "median", "quartiles", "n"):
        table.add_column(column, justify="right")
    for name, over_cases in total.metrics.items():
        quartiles = f"{_shown(over_cases.q1)} to {_shown(over_cases.q3)}"
        table.add_row(
            name,
            _shown(over_cases.mean),
            _shown(over_cases.median),
            quartiles if over_cases.n else "undefined",
            str(over_cases.n),
        )
    Console().print(table)
    bearing, false = total.patient_level, total.false_detections
    limits = total.agreement.limits_ml
    print(f"cases: {total.n_planned} planned, {total.n_scored} scored")
    print(f"Dice of all voxels together: {_shown(total.pooled_dice)}")
    print(
        f"volume, predicted minus reference: bias {_shown(total.agreement.bias_ml)} mL"
        + ("" if limits is None else f", limits {limits[0]:.4f} to {limits[1]:.4f} mL")
    )
    print(
        f"scans with lesions in which one was predicted: {bearing.n_bearing_found} of "
        f"{bearing.n_bearing}; scans without in which none was: {bearing.n_free_clean} of "
        f"{bearing.n_free}"
    )
    if false.n:
        print(
            f"in scans without lesions ({false.n}), on average {_shown(false.mean_count)} "
            f"false lesions of {_shown(false.mean_volume_mm3)} mm3"
        )
    if definition.name == ISBI2015.name:
        print(f"ISBI score: {_shown(total.isbi.score)}")


def _write(
    scored: Sequence[ScoredPair], *, out: Path | None, lesions: Path | None, say: bool
) -> None:
    from common.files import write_whole
    from server.evaluation.case_row import as_csv
    from server.evaluation.score_folders import COLUMNS, LESION_COLUMNS

    if out is not None:
        rows = [{**case.as_dict(), "notes": "; ".join(case.notes)} for case in scored]
        write_whole(out, as_csv(rows, columns=COLUMNS))
    if lesions is not None:
        rows = [row for case in scored for row in case.lesion_dicts()]
        write_whole(lesions, as_csv(rows, columns=LESION_COLUMNS))
    for what, path in (("cases", out), ("lesions", lesions)):
        if say and path is not None:
            print(f"{what}  {printable(path)}")


def _shown(value: float | int | None) -> str:
    if value is None:
        return "undefined"
    return str(value) if isinstance(value, int) else f"{value:.4f}"
