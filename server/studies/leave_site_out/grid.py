"""The matrix as it is drawn: a shade of grey and a figure in each field, legible in print."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from server.studies.leave_site_out.cells import Cell, rows_of
from server.studies.leave_site_out.matrix import CellSummary, matrix_rows

DARKEST = 0.45
"""How much of the light a value of 1 takes; black text stays legible on it (contrast above 4.5)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """What stands at one place. `note` instead of a value: why there is none."""

    value: float | None
    note: str

    @property
    def grey(self) -> str:
        """White for 0, darker for more, as a colour of CSS."""
        level = round(255 * (1 - DARKEST * min(max(self.value or 0.0, 0.0), 1.0)))
        return f"rgb({level}, {level}, {level})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One way to learn, at each site in turn."""

    label: str
    fields: tuple[Field, ...]


def grid(
    cells: Sequence[Cell], *, sites: Sequence[str], metric: str, threshold_name: str
) -> list[Line]:
    """The lines of the matrix: methods that left one site out, then every site's own network.

    metric           a column of CellSummary, in [0, 1]
    threshold_name   the baseline, such as "FLAIR threshold"
    """
    rows = matrix_rows(cells)
    lines = [
        _line(label, [row for row in rows if row.method == method], sites, metric)
        for method, label in (
            ("federated", "federated, the other sites"),
            ("pooled", "pooled data of the other sites"),
            ("baseline", f"{threshold_name} of the other sites"),
        )
    ]
    lines.append(_line("one site alone, mean of these:", _means(cells), sites, metric))
    return lines + [
        _line(f"{site} alone", _of_network(rows, site), sites, metric) for site in sites
    ]


def _of_network(rows: Sequence[CellSummary], site: str) -> list[CellSummary]:
    return [row for row in rows if (row.method, row.trained_on) == ("local", site)]


def _means(cells: Sequence[Cell]) -> list[CellSummary]:
    """The local networks' mean case by case, as a row a site."""
    rows = rows_of(cells, "local")
    sites = dict.fromkeys(cell.tested_on for cell in cells if cell.method == "local")
    means = [
        Cell(
            method="local",
            trained_on=(),
            tested_on=site,
            failed=None,
            rows=tuple(row for row in rows if row.site == site),
        )
        for site in sites
    ]
    return matrix_rows(means)


def _line(label: str, rows: Sequence[CellSummary], sites: Sequence[str], metric: str) -> Line:
    by_site = {row.tested_on: dataclasses.asdict(row) for row in rows}
    return Line(label=label, fields=tuple(_field(by_site.get(site), metric) for site in sites))


def _field(row: dict[str, object] | None, metric: str) -> Field:
    if row is None:
        return Field(value=None, note="trained here")
    value = row[metric]
    if isinstance(value, float):
        return Field(value=value, note="")
    return Field(value=None, note="failed" if row["failed"] is not None else "undefined")
