"""A paper's table in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from server.papers.paper_table import PaperTable

BORDER = 3
"""Characters of a column beside its text: a line and two spaces."""


def show_paper_table(table: PaperTable) -> None:
    """Prints our methods, then the paper's own figures, then the notes.

    Columns that do not fit beside each other come in further tables, so that no figure is cut.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from server.papers.paper_table import all_notes, as_grid

    console = Console()
    header, rows = as_grid(table)
    for columns in _blocks([header, *rows], console.width):
        shown = Table(title=f"as in {table.paper}", title_justify="left")
        for column in columns:
            shown.add_column(escape(header[column]), min_width=_width(header, rows, column))
        for number, row in enumerate(rows, start=1):
            cells = (escape(row[column]) for column in columns)
            shown.add_row(*cells, end_section=number == len(table.lines))
        console.print(shown)
    for note in all_notes(table):
        console.print(note, markup=False, highlight=False)


def _blocks(grid: Sequence[Sequence[str]], width: int) -> Iterator[list[int]]:
    """Numbers of the columns of each table: the methods, and as many others as fit in `width`."""
    header, *rows = grid
    needed = [_width(header, rows, column) + BORDER for column in range(len(header))]
    block = [0]
    for column in range(1, len(header)):
        if len(block) > 1 and 1 + sum(needed[c] for c in (*block, column)) > width:
            yield block
            block = [0]
        block.append(column)
    yield block


def _width(header: Sequence[str], rows: Sequence[Sequence[str]], column: int) -> int:
    """Characters of a column: its longest figure, or the longest word where lines may break."""
    words = [word for row in (header, *rows) for word in row[column].split()]
    figures = [] if column == 0 else [row[column] for row in rows]
    return max(map(len, [*words, *figures]), default=1)
