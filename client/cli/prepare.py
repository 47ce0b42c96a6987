"""lesionfed-site prepare: from the scanner's images to a folder that training reads."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from client.cli.case_bar import case_bar
from client.cli.options import AsJson, BidsFolder, MappingFile, Quiet
from common.cli.output_paths import require_output_folder

if TYPE_CHECKING:
    from client.prepare.site_work import PreparationPlan, Prepared
    from client.prepare.workers import JobOutcome
    from common.imaging.intake.findings import Finding
    from common.recipe.recipe import Recipe

STYLES = {
    "prepared": "green",
    "drawn": "green",
    "cached": "dim",
    "failed": "bold red",
    "quarantined": "bold red",
}


def prepare(
    folder: BidsFolder,
    out: Annotated[
        Path,
        typer.Option(
            file_okay=False,
            help="Folder for the prepared images: the `data` of site.toml afterwards.",
            show_default=False,
        ),
    ],
    recipe: Annotated[
        str, typer.Option(help="Recipe by name, or a TOML file; its steps are run.")
    ] = "default",
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one value of the recipe."),
    ] = None,
    site: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="site.toml, for its brain_command.",
            show_default=False,
        ),
    ] = None,
    mapping: MappingFile = None,
    model: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Model file whose template the quality pages show beside the histograms.",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Cases at a time, where memory allows.")] = 1,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done; compute and write nothing.")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Denoise, register, strip, correct, resample: what the recipe asks for, case by case.

    After an interruption it continues where it stopped; what exists already is not made again. A
    case that cannot be prepared is left out and named, the others continue: exit code 1. What an
    earlier run made of it moves to OUT/.left-out. Look at every page of OUT/qc before training.
    """
    from common.recipe.recipe import load_recipe  # pydantic: kept from --help

    reads = {"BIDS": folder, "--site": site, "--mapping": mapping, "--model": model}
    require_output_folder("--out", out, reads=reads)
    shown = not (as_json or quiet)
    chosen = load_recipe(recipe, overrides=changes or [])
    plan = _plan(folder, chosen, out, site, mapping, model, show_progress=shown)
    if dry_run:
        _print_plan(plan, folder, out, as_json=as_json)
        if _on_folder(plan.intake.findings, "blocking") or not plan.jobs:
            raise typer.Exit(1)
        return
    prepared = _prepared(plan, folder, chosen, out, workers, show_progress=shown)
    if as_json:
        typer.echo(json.dumps(prepared.as_dict(), indent=2))
    else:
        _print_results(prepared, out)
    blocked = _on_folder(prepared.findings, "blocking")
    if prepared.n_failed or blocked or not prepared.cases:
        raise typer.Exit(1)


def _plan(
    folder: Path,
    recipe: Recipe,
    out: Path,
    site: Path | None,
    mapping: Path | None,
    model: Path | None,
    *,
    show_progress: bool,
) -> PreparationPlan:
    from client.prepare.site_work import plan_site  # image libraries: kept from --help
    from client.site.settings import read_site

    template = None
    if model is not None:
        from common.model_file import read_model

        found = read_model(model)
        if found.recipe.standardization.method == "two-step":
            template = found.template
    with case_bar("examining cases", show=show_progress) as advance:
        return plan_site(
            folder,
            recipe=recipe,
            out=out,
            brain_command=() if site is None else read_site(site).brain_command,
            template=template,
            mapping=mapping,
            on_case=advance,
        )


def _prepared(
    plan: PreparationPlan,
    folder: Path,
    recipe: Recipe,
    out: Path,
    workers: int,
    *,
    show_progress: bool,
) -> Prepared:
    from client.prepare.site_work import prepare_site

    n_jobs = sum(planned.state != "done" for planned in plan.jobs)
    done = 0
    with case_bar("preparing", show=show_progress) as advance:
        advance(0, n_jobs)

        def count(_: JobOutcome) -> None:
            nonlocal done
            done += 1
            advance(done, n_jobs)

        return prepare_site(
            plan, root=folder, out=out, recipe=recipe, n_workers=workers, on_done=count
        )


WORDS = {"prepare": "would be prepared", "draw": "page would be drawn", "done": "cached"}


def _on_folder(findings: Sequence[Finding], *levels: str) -> list[Finding]:
    """Those on the whole folder, which no case's line can show; of these levels, or of any."""
    return [
        finding
        for finding in findings
        if finding.subject is None and (not levels or finding.level in levels)
    ]


def _print_on_folder(findings: Sequence[Finding]) -> None:
    from rich.console import Console
    from rich.markup import escape

    for finding in _on_folder(findings):
        style = "bold red" if finding.level == "blocking" else "yellow"
        Console().print(f"[{style}]{escape(str(finding))}[/]", highlight=False, soft_wrap=True)


def _print_plan(plan: PreparationPlan, folder: Path, out: Path, *, as_json: bool) -> None:
    from client.prepare.derivatives import require_ours
    from client.prepare.stale_cases import stale_cases

    require_ours(out, source=folder)
    stale = list(stale_cases(out, [case for planned in plan.jobs for case in planned.job.cases]))
    if as_json:
        jobs = [
            {"name": planned.job.name, "state": planned.state, "memory_bytes": planned.memory_bytes}
            for planned in plan.jobs
        ]
        shown = {
            "jobs": jobs,
            "quarantined": list(plan.intake.quarantined),
            "moved_aside": stale,
            "findings": [dataclasses.asdict(finding) for finding in plan.intake.findings],
        }
        typer.echo(json.dumps(shown, indent=2))
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("case", "what", "memory, about")
    for planned in plan.jobs:
        memory = f"{planned.memory_bytes / 1e9:.1f} GB" if planned.state == "prepare" else ""
        table.add_row(escape(planned.job.name), WORDS[planned.state], memory)
    for name in plan.intake.quarantined:
        table.add_row(escape(name), "[bold red]quarantined: see lesionfed-site check[/]", "")
    console = Console()
    if table.rows:
        console.print(table)
    _print_on_folder(plan.intake.findings)
    if stale:
        text = f"would be moved to {out / '.left-out'}: {', '.join(stale)}"
        console.print(escape(text), highlight=False, soft_wrap=True)
    n_to_do = sum(planned.state == "prepare" for planned in plan.jobs)
    steps = plan.jobs[0].job.preprocessing.steps if plan.jobs else ()
    console.print(f"to prepare: {n_to_do} ({', '.join(steps)}); nothing was computed or written")


def _print_results(prepared: Prepared, out: Path) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("case", "result", "time", "memory", show_lines=True)
    table.add_column("what there is to say", overflow="fold")
    for case in prepared.cases:
        table.add_row(
            escape(case.name),
            f"[{STYLES[case.result]}]{case.result}[/]",
            f"{case.wall_s:.0f} s" if case.wall_s else "",
            f"{case.peak_bytes / 1e9:.1f} GB" if case.peak_bytes else "",
            escape("\n".join(case.notes)),
        )
    console = Console()
    if prepared.cases:
        console.print(table)
    _print_on_folder(prepared.findings)
    if prepared.moved_aside:
        console.print(
            "from an earlier run, not in the folder any more: "
            f"{escape(', '.join(prepared.moved_aside))}; moved to {escape(str(out / '.left-out'))}",
            highlight=False,
            soft_wrap=True,
        )
    n_good = len(prepared.cases) - prepared.n_failed
    console.print(
        f"prepared: {n_good}, left out: {prepared.n_failed}. Look at every page: "
        f"{escape(str(out / 'qc' / 'index.html'))}",
        highlight=False,
        soft_wrap=True,
    )
