"""A preflight as a person or a script reads it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from common.preflight.check import CheckResult

STYLES = {
    "passed": "green",
    "warning": "yellow",
    "problem": "bold red",
    "not-checked": "dim",
}


def show_checks(checks: Iterable[CheckResult], *, as_json: bool) -> None:
    """Prints every check; exit code 1 where one is a problem."""
    if as_json:
        made = list(checks)
        rows = [dataclasses.asdict(check) for check in made]
        typer.echo(json.dumps({"n_problems": _n_problems(made), "checks": rows}, indent=2))
    else:
        made = _table(checks)
    if _n_problems(made):
        raise typer.Exit(1)


def _table(checks: Iterable[CheckResult]) -> list[CheckResult]:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("what", "result", show_lines=True)
    for title in ("what was found", "what to do"):
        table.add_column(title, overflow="fold")  # a path is never cut short
    made = []
    with Console(stderr=True).status("checking") as shown:
        for check in checks:
            shown.update(f"checked: {check.name}")
            result = f"[{STYLES[check.status]}]{check.status}[/]"
            table.add_row(check.name, result, escape(check.found), escape(check.fix or ""))
            made.append(check)
    console = Console()
    console.print(table)
    counts = {status: sum(check.status == status for check in made) for status in STYLES}
    console.print(", ".join(f"{status}: {n}" for status, n in counts.items() if n), highlight=False)
    return made


def _n_problems(checks: Iterable[CheckResult]) -> int:
    return sum(check.status == "problem" for check in checks)
