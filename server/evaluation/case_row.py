"""One row a planned case: what evaluation writes, and report, compare and summaries read."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.errors import RunFolderError, printable, printable_lines
from common.files import write_whole
from common.imaging.dataset.where_drawn import ScoredGrid
from common.imaging.intake.findings import case_name

Value = float | int | None
"""A metric; None is undefined."""

PLACE = ("site", "subject", "session", "grid", "failed")
"""The columns before the metrics."""

MISSING = "missing"
"""A column of tables in which a case lacks an image that the recipe lets it lack."""

NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")
FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20\n")
"""How a text begins that a spreadsheet may compute, also in full width and behind spaces; tabs and
\\r are escaped wherever they are."""
LARGEST = 1e12
"""No count of voxels and no volume in mm3 comes near it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseRow:
    """One planned case of a held-out site, scored or failed.

    grid      where its figures were made: on the scanner's own grid, where the lesions were drawn,
              or on that of the prepared images
    failed    why the case has no score, or None; it counts among the planned ones all the same
    missing   channels of which the case has no image, such as "T1w"; None where it has all
    metrics   name -> value, None where undefined; empty where failed
    """

    site: str
    subject: str
    session: str | None = None
    grid: ScoredGrid = "prepared"
    failed: str | None = None
    missing: str | None = None
    metrics: Mapping[str, Value] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Subject and session as in file names."""
        return case_name(self.subject, self.session)

    def metric(self, name: str) -> Value:
        """The metric called `name`; None where it is undefined or the case failed."""
        return self.metrics.get(name)

    def as_dict(self) -> dict[str, Any]:
        """One flat row: the place, then every metric; a failed case was scored on no grid."""
        row = {column: getattr(self, column) for column in PLACE}
        row |= ({} if self.missing is None else {MISSING: self.missing}) | dict(self.metrics)
        return row if self.failed is None else row | {"grid": None}

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> CaseRow:
        """The row that `as_dict` made; ValueError where a metric is no number.

        Tables from before there was a `grid` were all made on the prepared one.
        """
        metrics = {name: _value(name, row[name]) for name in row if name not in (*PLACE, MISSING)}
        return cls(
            site=printable(row["site"]),
            subject=printable(row["subject"]),
            session=None if row.get("session") is None else printable(row["session"]),
            grid=_grid(row.get("grid")),
            failed=None if row.get("failed") is None else printable_lines(str(row["failed"])),
            missing=None if row.get(MISSING) is None else printable(row[MISSING]),
            metrics={} if row.get("failed") is not None else metrics,
        )


def write_cases(path: Path, rows: Iterable[CaseRow]) -> None:
    """Writes one line a case, whole or not at all; an undefined value is an empty field."""
    write_whole(path, as_csv([row.as_dict() for row in rows], columns=PLACE))


def as_csv(rows: Iterable[Mapping[str, Any]], *, columns: Iterable[str] = ()) -> bytes:
    """The rows as CSV: `columns` first, then the others in the order they come; None is empty.

    A text that a spreadsheet would take for a formula gets an apostrophe in front, which
    `read_cases` takes off again; numbers stay numbers.
    """
    table = [{_no_formula(name): _no_formula(row[name]) for name in row} for row in rows]
    names = dict.fromkeys([*columns, *(name for row in table for name in row)])
    text = io.StringIO()
    writer = csv.DictWriter(text, list(names), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue().encode()


def plain_text(cell: str) -> str:
    """A text of a table as it was before `as_csv` wrote it."""
    return cell[1:] if cell[:1] == "'" and cell.lstrip("' ").startswith(FORMULA) else cell


def _no_formula(value: Any) -> Any:
    if not isinstance(value, str) or NUMBER.fullmatch(value):
        return value
    shown = printable_lines(value)
    return f"'{shown}" if shown.lstrip("' ").startswith(FORMULA) else shown


def read_cases(path: Path) -> list[CaseRow]:
    """The rows of a `cases.csv`; RunFolderError where it is no such table."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RunFolderError(
            f"{path}: want a table of cases, but it cannot be read ({type(error).__name__}). "
            "Give the folder of a finished run, or one that `lesionfed evaluate --out` made."
        ) from None
    reader = csv.DictReader(io.StringIO(text), strict=True)
    rows = []
    try:
        if missing := [column for column in PLACE[:2] if column not in (reader.fieldnames or [])]:
            raise ValueError(f"want the columns site and subject, {', '.join(missing)} is missing")
        for row in reader:
            if None in row or None in row.values():
                raise ValueError(f"line {reader.line_num} has not as many fields as the header")
            rows.append(CaseRow.from_dict({k: plain_text(v) or None for k, v in row.items()}))
    except (ValueError, csv.Error) as error:
        raise RunFolderError(f"{path}: {error}. Make the table again.") from None
    return rows


def _grid(value: Any) -> ScoredGrid:
    if value not in ("scanner", "prepared", None):
        raise ValueError(f"grid: want scanner or prepared, got {value!r:.40}")
    return "scanner" if value == "scanner" else "prepared"


def _value(name: str, value: Any) -> Value:
    """The number as a table or an event holds it; ValueError for anything else."""
    if value is None:
        return None
    if isinstance(value, str) and len(value) < 40 and NUMBER.fullmatch(value):
        value = int(value) if value.lstrip("-").isdigit() else float(value)
    if not isinstance(value, int | float) or not abs(value) <= LARGEST:  # NaN fails as well
        raise ValueError(f"{name}: want a number up to {LARGEST:g} or nothing, got {value!r:.40}")
    return value
