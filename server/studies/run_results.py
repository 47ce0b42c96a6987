"""The result of each run of a study: how it ended, and its row for every planned case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.imaging.intake.bids import list_cases
from common.imaging.intake.session_pairs import planned_cases
from common.recipe.task import Task
from server.evaluation.case_row import CaseRow
from server.evaluation.evaluation_folder import EvaluationFolder
from server.evaluation.site_summary import SiteSummary, summarize_sites
from server.events.history import RunHistory, read_run
from server.studies.plan import PlannedRun
from server.studies.study_folder import AnyStudy


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOutcome:
    """How one network's run ended.

    failed   why it has no result, or None where it was completed
    wall_s   from its first event to its last; None where it was cut off in between
    """

    failed: str | None
    wall_s: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunResult:
    """One planned network and its result.

    record       the run as its events give it; None before the first one
    rows         one a case of its unseen sites; all failed where the run has no result
    evaluation   its tables, where it has a result
    """

    run: PlannedRun
    outcome: RunOutcome
    record: RunHistory | None
    rows: Sequence[CaseRow]
    evaluation: EvaluationFolder
    has_report: bool


def read_results(folder: AnyStudy) -> list[RunResult]:
    """Each planned run, in the order of the plan, with its result."""
    plan = folder.plan()
    results = []
    for run in plan.runs():
        run_folder = folder.run_folder(run)
        evaluation = EvaluationFolder(run_folder.evaluation)
        record = _record(run_folder.events_file)
        outcome = _outcome(record)
        if outcome.failed is None:
            rows = evaluation.cases()
        else:
            task, sites = plan.recipe_of(run).task, plan.folders(run.parts.unseen)
            rows = [row for name, data in sites.items() for row in _failed(name, data, task)]
        results.append(
            RunResult(
                run=run,
                outcome=outcome,
                record=record,
                rows=rows,
                evaluation=evaluation,
                has_report=(run_folder.path / "report.html").exists(),
            )
        )
    return results


def outcome_of(folder: AnyStudy, run: PlannedRun) -> RunOutcome:
    """How the run of one network ended, or that it has not."""
    return _outcome(_record(folder.run_folder(run).events_file))


def summaries_by_site(
    rows: Mapping[str, Sequence[CaseRow]],
) -> dict[str, list[tuple[str, SiteSummary]]]:
    """Site -> each method's name and summary there; a method without a row there is absent.

    rows   method's name -> its rows, of all sites
    """
    by_site: dict[str, list[tuple[str, SiteSummary]]] = {}
    for name, of_method in rows.items():
        for summary in summarize_sites(of_method):
            by_site.setdefault(summary.site, []).append((name, summary))
    return by_site


def _outcome(record: RunHistory | None) -> RunOutcome:
    if record is None:
        return RunOutcome(failed="not run yet", wall_s=None)
    ended = record.finished
    if ended is None:
        failed: str | None = "not finished yet"
    else:
        failed = None if ended.status == "completed" else f"{ended.status}: {ended.reason}"
    return RunOutcome(failed=failed, wall_s=record.wall_s)


def _record(events: Path) -> RunHistory | None:
    """The run as its events give it; None before its first whole event."""
    if not events.exists() or b"\n" not in events.read_bytes():
        return None
    return read_run(events)


def _failed(site: str, data: Path, task: Task) -> list[CaseRow]:
    """One failed row a case of the site, by its file names: they count as planned."""
    return [
        CaseRow(site=site, subject=case.subject, session=case.session, failed="the run failed")
        for case in planned_cases(list_cases(data, task).cases, task)
    ]
