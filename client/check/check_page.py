"""The page on a site's cases: every finding, what the files hold, and a picture of each case."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

from client.check.finding_groups import grouped
from common.errors import printable
from common.figures.intake_mosaic import intake_mosaic
from common.figures.page import png_uri, rendered_page, write_page
from common.imaging.intake.case_facts import CaseFacts
from common.imaging.intake.intake import Intake, OnCase
from common.imaging.volume import Volume, VolumeFault, read_labels, read_volume


def write_check_page(
    path: Path,
    intake: Intake,
    *,
    root: Path,
    modalities: tuple[str, ...],
    raw: bool,
    affines: bool = False,
    on_case: OnCase | None = None,
) -> None:
    """Writes the page on a thorough survey of `root` to `path`, whole or not at all.

    affines   whether the texts hold the affines of grids
    It holds pictures of patients and says so: it stays at the site. Cases are read again, one at a
    time; `on_case` is called with the number drawn and the number of cases.
    """
    cases: list[dict[str, Any]] = []
    for done, facts in enumerate(intake.facts, start=1):
        cases.append(
            {
                "facts": facts,
                "quarantined": facts.name in intake.quarantined,
                "picture": _picture(root, facts),
            }
        )
        if on_case is not None:
            on_case(done, len(intake.facts))
    groups = grouped(intake.findings, affines=affines)
    values = {
        "folder": printable(root),
        "purpose": "lesionfed-site prepare" if raw else "training",
        "modalities": ", ".join(modalities),
        "n_usable": len(intake.usable),
        "n_quarantined": len(intake.quarantined),
        "version": f"LesionFed {importlib.metadata.version('lesionfed')}",
        "urgent": [group for group in groups if group.level != "note"],
        "notes": [group for group in groups if group.level == "note"],
        "n_notes": sum(finding.level == "note" for finding in intake.findings),
        "cases": cases,
    }
    write_page(path, rendered_page("check_page.html.j2", package="client.check", values=values))


def _picture(root: Path, facts: CaseFacts) -> str:
    """The mosaic of one case, or an empty text where nothing can be read any more."""
    images: dict[str, Volume] = {}
    lesions: Volume | None = None
    try:
        for image in facts.images:
            images[image.modality] = read_volume(root / image.file)
        if facts.lesions is not None:
            lesions = read_labels(root / facts.lesions.file)
    except VolumeFault:
        return ""  # read a moment ago: gone since
    return png_uri(intake_mosaic(images, lesions)) if images else ""
