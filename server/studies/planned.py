"""The cases of a site that a run should have judged, where it has no result."""

from __future__ import annotations

from pathlib import Path

from common.imaging.intake.bids import list_cases
from common.imaging.intake.session_pairs import planned_cases
from common.recipe.recipe import Task
from server.evaluation.case_row import CaseRow


def rows_without_result(site: str, data: Path, task: Task, *, reason: str) -> list[CaseRow]:
    """One failed row a case of the site, by its file names: they count as planned.

    data   the site's BIDS folder
    """
    return [
        CaseRow(site=site, subject=case.subject, session=case.session, failed=reason)
        for case in planned_cases(list_cases(data, task).cases, task)
    ]
