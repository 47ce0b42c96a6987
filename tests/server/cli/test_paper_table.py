from __future__ import annotations

import pytest

from server.cli.paper_table import show_paper_table
from server.papers.paper_table import Entry, MethodLine, PaperTable

TITLES = tuple(f"{kind} {part}" for kind in ("L-F1", "V-F1") for part in ("mean", "median", "SD"))
ENTRIES = tuple(Entry(n=3, mean=0.111 * n, sd=0.01) for n in range(1, 7))
TABLE = PaperTable(
    paper="hussein2023",
    columns=TITLES,
    lines=(MethodLine(label="focal-tversky", n_seeds=3, n_scored=6, n_planned=6, entries=ENTRIES),),
    published={"Dice (SCT)": (0.38, 0.39, None, None, None, None)},
    source="Hussein",
    notes=(),
)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_figure_of_a_papers_table_is_cut_on_a_narrow_screen(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    show_paper_table(TABLE)
    text = capsys.readouterr().out
    assert "…" not in text
    for entry in ENTRIES:
        assert text.count(str(entry)) == 1
    assert max(map(len, text.splitlines())) <= width
