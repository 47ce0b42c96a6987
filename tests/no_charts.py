"""Toy runs whose reports are one line: half of a toy run's time would be its charts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.files import write_whole


def report_of_one_line(run_folder: Path, *, images: bool = True) -> Path:
    """In place of `write_report`, where a test is not about a run's charts."""
    path = run_folder / "report.html"
    write_whole(path, f"<p>images: {images}".encode())
    return path


@contextmanager
def without_charts() -> Iterator[None]:
    """Runs and studies in this block write such reports; `write_report` itself stays as it is."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("server.execute_run", "server.studies.run_study"):
            patch.setattr(f"{module}.write_report", report_of_one_line)
        yield
