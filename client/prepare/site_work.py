"""A whole site prepared: what there is to do, and the result of each case."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from client.prepare.derivatives import is_written, read_notes, start_folder, written_to
from client.prepare.job import Job, JobState, PlannedJob, file_digest
from client.prepare.memory import SPARED, needed_bytes
from client.prepare.qc_page import CaseLine, is_drawn, page_path, write_qc_index
from client.prepare.stale_cases import move_aside, remove_aside
from client.prepare.workers import JobOutcome, run_jobs
from common.errors import ConfigError, SiteDataError
from common.files import locked, require_utf8
from common.imaging.intake.findings import Finding
from common.imaging.intake.intake import Intake, survey
from common.imaging.intake.usable_case import UsableCase
from common.imaging.standardization.template import Template
from common.machine import available_bytes
from common.recipe.recipe import Recipe

Result = Literal["prepared", "drawn", "cached", "failed", "quarantined"]


@dataclass(frozen=True, slots=True)
class PreparationPlan:
    """Every job of a site, by name, and what its intake found."""

    jobs: tuple[PlannedJob, ...]
    intake: Intake


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseResult:
    """The result of one case.

    result       prepared; drawn: its page alone; cached: nothing was left to do; failed: while it
                 was prepared; quarantined: by intake, before
    notes        what the chain had to say, or why there is nothing
    wall_s       of its job; 0 where there was none
    peak_bytes   of its worker; 0 where there was none
    """

    name: str
    result: Result
    notes: tuple[str, ...]
    wall_s: float = 0.0
    peak_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Prepared:
    """Every case of the site, what intake found, and what the prepared folder held too much.

    moved_aside   names of the cases that an earlier run had prepared and that are left out now
    """

    cases: tuple[CaseResult, ...]
    findings: tuple[Finding, ...]
    moved_aside: tuple[str, ...] = ()

    @property
    def n_failed(self) -> int:
        """Cases that are not in the prepared folder."""
        return sum(case.result in ("failed", "quarantined") for case in self.cases)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "cases": [dataclasses.asdict(case) for case in self.cases],
            "findings": [dataclasses.asdict(finding) for finding in self.findings],
            "moved_aside": list(self.moved_aside),
        }


def plan_site(
    root: Path,
    *,
    recipe: Recipe,
    out: Path,
    brain_command: Sequence[str] = (),
    template: Template | None = None,
    mapping: Path | None = None,
    on_case: Callable[[int, int], None] | None = None,
) -> PreparationPlan:
    """The site's jobs; reads every source, computes and writes nothing.

    root, mapping   as in `survey`: the site's folder, and the table of its files if it is not BIDS
    out             the prepared folder, which may not exist yet
    template        a model's, shown in the histograms; None: the recipe's, where it is fixed
    on_case         called by intake with the number of cases done and their number
    ConfigError where the recipe has no steps, or a path is not UTF-8.
    """
    for path, what in ((root, "site folder"), (out, "--out")):
        require_utf8(path, what=what)
    settings = recipe.preprocessing
    if not settings.steps:
        raise ConfigError(
            f"recipe {recipe.name!r} has no preprocessing.steps: its sites prepare their images "
            'themselves. Use a recipe that has, or --set \'preprocessing.steps=["register", '
            '"brain", "bias-field", "resample"]\'.'
        )
    if template is None:
        standardization = recipe.standardization
        template = standardization.template if standardization.method == "two-step" else {}
    intake = survey(root, task=recipe.task, raw=True, mapping=mapping, on_case=on_case)
    jobs = []
    for group in _groups(intake.usable, together=settings.space == "halfway"):
        files = [path for case in group for path in case.files.values()]
        job = Job(
            cases=tuple(group),
            root=root,
            out=out,
            preprocessing=settings,
            brain_command=tuple(brain_command),
            threads=recipe.compute.threads,
            digests={path.relative_to(root).as_posix(): file_digest(path) for path in files},
            template=template,
        )
        jobs.append(PlannedJob(job=job, state=_state(job), memory_bytes=needed_bytes(job)))
    return PreparationPlan(tuple(jobs), intake)


def prepare_site(
    plan: PreparationPlan,
    *,
    root: Path,
    out: Path,
    recipe: Recipe,
    n_workers: int,
    on_done: Callable[[JobOutcome], None] | None = None,
) -> Prepared:
    """The site's prepared folder at `out`, as far as its cases allow.

    on_done   called after each job that was not cached
    What other files or other steps made of a case goes aside before anything is computed, so that
    even a run that is killed leaves `out` with none of it.
    ConfigError or SiteDataError where `out` cannot be used; a case's own error is in its result.
    """
    start_folder(out, source=root)
    with _alone_in(out):
        to_do = [planned for planned in plan.jobs if planned.state != "done"]
        whole = [
            case
            for planned in plan.jobs
            if planned.state != "prepare"
            for case in planned.job.cases
        ]
        aside = move_aside(out, current=whole)
        outcomes = run_jobs(
            to_do,
            n_workers=n_workers,
            memory_bytes=round((1 - SPARED) * available_bytes()) if to_do else 0,
            on_done=on_done,
        )
        by_name = {outcome.name: outcome for outcome in outcomes}
        cases = [
            result
            for planned in plan.jobs
            for result in _results(planned, by_name.get(planned.job.name))
        ]
        cases += [_quarantined(name, plan.intake.findings) for name in plan.intake.quarantined]
        cases.sort(key=lambda case: case.name)
        sources = {case.name: case for planned in plan.jobs for case in planned.job.cases}
        good = [case.name for case in cases if case.result not in _LEFT_OUT]
        aside += move_aside(out, current=[sources[name] for name in good])
        for name in good:
            remove_aside(out, name)
        lines = [
            CaseLine(
                name=case.name,
                result="in the folder" if case.result not in _LEFT_OUT else "left out",
                notes=case.notes,
                drawn=case.result not in _LEFT_OUT and page_path(out, sources[case.name]).exists(),
            )
            for case in cases
        ]
        write_qc_index(out, recipe, lines)
    moved_aside = tuple(sorted(set(aside) - set(good)))
    return Prepared(tuple(cases), plan.intake.findings, moved_aside)


def _groups(cases: Sequence[UsableCase], *, together: bool) -> list[list[UsableCase]]:
    """Each case alone, or a subject's sessions together; intake gives them in order."""
    if not together:
        return [[case] for case in cases]
    return [list(group) for _, group in itertools.groupby(cases, key=lambda case: case.subject)]


def _state(job: Job) -> JobState:
    if not all(is_written(job, case) for case in job.cases):
        return "prepare"
    return "done" if all(is_drawn(job, case) for case in job.cases) else "draw"


_LEFT_OUT = ("failed", "quarantined")


def _results(planned: PlannedJob, outcome: JobOutcome | None) -> Iterator[CaseResult]:
    for case in planned.job.cases:
        if outcome is None:
            notes = read_notes(planned.job, case)
            yield CaseResult(name=case.name, result="cached", notes=notes)
        elif outcome.error is not None:
            yield CaseResult(
                name=case.name,
                result="failed",
                notes=(outcome.error,),
                wall_s=outcome.wall_s,
                peak_bytes=outcome.peak_bytes,
            )
        else:
            yield CaseResult(
                name=case.name,
                result="prepared" if planned.state == "prepare" else "drawn",
                notes=tuple(outcome.notes[case.name]),
                wall_s=outcome.wall_s,
                peak_bytes=outcome.peak_bytes,
            )


def _quarantined(name: str, findings: tuple[Finding, ...]) -> CaseResult:
    reasons = [f for f in findings if f.case == name and f.level == "blocking"]
    notes = tuple(f"{finding.text}. {finding.fix}" for finding in reasons)
    return CaseResult(name=name, result="quarantined", notes=notes)


@contextmanager
def _alone_in(out: Path) -> Iterator[None]:
    """Locks the prepared folder; SiteDataError where another command runs in it."""
    busy = SiteDataError(
        f"{out}: another lesionfed-site prepare runs in this folder. Wait for it, "
        "or choose another --out.",
        code="busy",
    )
    with ExitStack() as stack:
        with written_to(out):
            stack.enter_context(locked(out / ".lock", busy=busy))
        yield
