"""Every network of a study with the cases it was judged on."""

from __future__ import annotations

from server.evaluation.case_row import CaseRow
from server.evaluation.evaluation_folder import EvaluationFolder
from server.papers.evaluated_run import EvaluatedRun
from server.studies.many_runs import outcome_at, record_at
from server.studies.plan import Plan, PlannedRun
from server.studies.planned import rows_without_result
from server.studies.study_folder import StudyFolder


def read_judged(folder: StudyFolder) -> list[tuple[PlannedRun, EvaluatedRun]]:
    """Each planned run, in the order of the plan, and what came of it.

    A run without a result has one failed row for each case it should have judged.
    """
    plan = folder.plan()
    return [(run, _judged(folder, plan, run)) for run in plan.runs()]


def _judged(folder: StudyFolder, plan: Plan, run: PlannedRun) -> EvaluatedRun:
    place = folder.path / run.place
    has_result = outcome_at(place).failed is None
    evaluation = EvaluationFolder(folder.run_folder(run).evaluation)
    return EvaluatedRun(
        label=run.method,
        seed=run.seed,
        rows=evaluation.cases() if has_result else _failed(plan, run),
        sweeps=evaluation.sweeps() if has_result else {},
        record=record_at(place),
    )


def _failed(plan: Plan, run: PlannedRun) -> list[CaseRow]:
    task = plan.recipe_of(run).task
    return [
        row
        for site in run.parts.unseen
        for row in rows_without_result(site, plan.data[site], task, reason="the run failed")
    ]
