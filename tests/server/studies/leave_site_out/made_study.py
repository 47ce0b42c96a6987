"""Studies written by hand: every run's tables given, nothing trained."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from common.recipe.recipe import load_recipe
from server.evaluation.case_row import CaseRow, write_cases
from server.evaluation.evaluation_folder import EvaluationFolder
from server.studies.leave_site_out.plan import LeaveSiteOutPlan, make_plan
from server.studies.study_folder import StudyFolder

SITES = ("lyon", "ghent", "turin")

Study = StudyFolder[LeaveSiteOutPlan]

Rows = Mapping[str, list[CaseRow]]
"""Place of a run -> its cases.csv; `baseline` in front of it: its baseline.csv."""


def case(site: str, subject: str, dice: float | None, **metrics: float | None) -> CaseRow:
    """One scored case; tp, fp and fn by name as `tp_voxels=..`."""
    return CaseRow(site=site, subject=f"sub-{subject}", metrics={"dice": dice, **metrics})


def made_study(path: Path, rows: Rows, *, failed: Mapping[str, str] | None = None) -> Study:
    """A study over three sites of two subjects each, all runs ended.

    rows     of a place that is not named: no case
    failed   place of a run -> the reason of its failure
    """
    sites = {name: path / "data" / name for name in SITES}
    for data in sites.values():
        for subject in ("sub-01", "sub-02"):
            image = data / subject / "anat" / f"{subject}_FLAIR.nii.gz"
            image.parent.mkdir(parents=True)
            image.touch()
    study = StudyFolder(path / "study", LeaveSiteOutPlan)
    uniform = 'loss.site={name = "uniform", weight = 0.3}'
    study.begin(make_plan(load_recipe("default", scale="small", overrides=[uniform]), sites))
    for run in study.plan().runs():
        place = run.place.as_posix()
        folder = study.run_folder(run)
        folder.evaluation.mkdir(parents=True)
        reason = (failed or {}).get(place)
        _write_events(folder.events_file, reason)
        if reason is None:
            evaluation = EvaluationFolder(folder.evaluation)
            write_cases(evaluation.cases_file, rows.get(place, []))
            write_cases(evaluation.baseline_file, rows.get(f"baseline {place}", []))
    return study


def _write_events(path: Path, reason: str | None) -> None:
    started = {
        "time": "2026-01-01T10:00:00+00:00",
        "event": "run-started",
        "run": "made",
        "engine": "inline",
        "recipe_name": "default",
        "recipe_sha256": "0",
        "code_digest": "0",
        "sites": [],
    }
    finished = {
        "time": "2026-01-01T10:01:00+00:00",
        "event": "run-finished",
        "status": "completed" if reason is None else "failed",
        "reason": reason,
    }
    path.write_text(f"{json.dumps(started)}\n{json.dumps(finished)}\n", encoding="utf-8")
