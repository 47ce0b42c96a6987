"""A paper's table and figures as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from common.files import write_whole
from server.papers.paper_figures import PaperFigure
from server.papers.paper_table import PaperTable, as_markdown, as_text


def write_paper(folder: Path, table: PaperTable, figures: Sequence[PaperFigure]) -> list[Path]:
    """Writes `paper-table.md`, `paper-table.txt` and one SVG a figure; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"paper-table.md": as_markdown(table), "paper-table.txt": as_text(table)}
    texts |= {f"{figure.name}.svg": figure.drawing.svg() for figure in figures}
    for name, text in texts.items():
        write_whole(folder / name, text.encode())
    return [folder / name for name in texts]
