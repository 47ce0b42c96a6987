"""Tables of cases written by hand, small enough to work a comparison out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from server.evaluation.case_row import CaseRow, Value, write_cases


def row(site: str, subject: str, session: str | None = None, **metrics: Value) -> CaseRow:
    """One scored case."""
    return CaseRow(site=site, subject=subject, session=session, metrics=metrics)


def failed(site: str, subject: str, session: str | None = None) -> CaseRow:
    """One planned case that could not be scored."""
    return CaseRow(site=site, subject=subject, session=session, failed="no FLAIR")


def run_folder(path: Path, rows: Iterable[CaseRow]) -> Path:
    """A run's folder with its evaluation."""
    (path / "evaluation").mkdir(parents=True)
    write_cases(path / "evaluation" / "cases.csv", rows)
    return path
