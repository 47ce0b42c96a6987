"""A paper's table in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from server.papers.paper_table import PaperTable


def show_paper_table(table: PaperTable) -> None:
    """Prints our methods, then the paper's own figures, then the notes."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from server.papers.paper_table import all_notes, as_grid

    console = Console()
    header, rows = as_grid(table)
    shown = Table(*map(escape, header), title=f"as in {table.paper}", title_justify="left")
    for number, row in enumerate(rows, start=1):
        shown.add_row(*map(escape, row), end_section=number == len(table.lines))
    console.print(shown)
    for note in all_notes(table):
        console.print(note, markup=False, highlight=False)
