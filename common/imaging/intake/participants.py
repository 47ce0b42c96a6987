"""Who the subjects of a site are: participants.tsv, which a site may lack."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from common.files import require_file
from common.imaging.intake.findings import Finding, first_of, on_folder


def read_participants(path: Path) -> tuple[dict[str, str | None], list[Finding]]:
    """Subject -> diagnosis, None where it is empty or n/a, and what is wrong with the table.

    path   participants.tsv; without it no subject has a diagnosis
    """
    if not path.exists():
        return {}, []
    try:
        require_file(path)
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
            if rows and None in (row.get("participant_id") for row in rows):
                raise ValueError("no column participant_id in every row")
    except (OSError, ValueError, csv.Error) as error:
        return {}, [
            on_folder(
                "warning",
                "participants",
                text=f"participants.tsv cannot be read, so no subject counts as a control: {error}",
                fix="Save it as tab-separated UTF-8 with the columns participant_id and diagnosis.",
            )
        ]
    diagnoses: dict[str, str | None] = {}
    for row in rows:
        subject = "sub-" + row["participant_id"].strip().removeprefix("sub-")
        diagnosis = (row.get("diagnosis") or "").strip()
        diagnoses[subject] = diagnosis if diagnosis not in ("", "n/a") else None
    return diagnoses, []


def without_images(subjects: Sequence[str]) -> Iterator[Finding]:
    """A note when subjects of the table have no images; it names them."""
    if subjects:
        yield on_folder(
            "note",
            "participant-without-images",
            text=f"{len(subjects)} subjects of participants.tsv have no images: "
            + first_of(subjects),
            fix="Nothing to do if that is meant; else add their sub-* folders.",
        )
