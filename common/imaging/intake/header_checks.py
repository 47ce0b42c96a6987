"""What the headers of a case's files say against themselves."""

from __future__ import annotations

from collections.abc import Iterator

from common.imaging.intake.findings import Finding
from common.imaging.intake.usable_case import OpenCase
from common.imaging.volume import noted


def headers_are_consistent(case: OpenCase) -> Iterator[Finding]:
    """A note or warning for each thing that was odd when the files were read, with their names."""
    for note, text in noted({**case.images, **case.masks}):
        yield case.finding(note.level, note.code, text=text, fix=note.fix)
