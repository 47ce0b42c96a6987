"""A whole site prepared: the plan carried out, and what came of each case."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from client.prepare.derivatives import read_notes, start_folder, written_to
from client.prepare.memory import SPARED
from client.prepare.plan import Job, Plan
from client.prepare.qc_page import CaseLine, page_path, write_qc_index
from client.prepare.stale_cases import forget_aside, put_aside
from client.prepare.workers import Outcome, run_jobs
from common.errors import SiteDataError
from common.files import locked
from common.imaging.intake.findings import Finding
from common.machine import available_bytes
from common.recipe.recipe import Recipe

Result = Literal["prepared", "drawn", "cached", "failed", "quarantined"]


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseResult:
    """What came of one case.

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


def prepare_site(
    plan: Plan,
    *,
    root: Path,
    out: Path,
    recipe: Recipe,
    n_workers: int,
    on_done: Callable[[Outcome], None] | None = None,
) -> Prepared:
    """The site's prepared folder at `out`, as far as its cases allow.

    on_done   called after each job that was not cached
    What other files or other steps made of a case goes aside before anything is computed, so that
    even a run that is killed leaves `out` with none of it.
    ConfigError or SiteDataError where `out` cannot be used; a case's own error is in its result.
    """
    start_folder(out, source=root)
    with _alone_in(out):
        to_do = [job for job in plan.jobs if job.state != "done"]
        whole = [case for job in plan.jobs if job.state != "prepare" for case in job.order.cases]
        aside = put_aside(out, kept=whole)
        outcomes = run_jobs(
            to_do,
            n_workers=n_workers,
            memory_bytes=round((1 - SPARED) * available_bytes()) if to_do else 0,
            on_done=on_done,
        )
        by_name = {outcome.name: outcome for outcome in outcomes}
        cases = [
            result for job in plan.jobs for result in _results(job, by_name.get(job.order.name))
        ]
        cases += [_quarantined(name, plan.intake.findings) for name in plan.intake.quarantined]
        cases.sort(key=lambda case: case.name)
        sources = {case.name: case for job in plan.jobs for case in job.order.cases}
        good = [case.name for case in cases if case.result not in _LEFT_OUT]
        aside += put_aside(out, kept=[sources[name] for name in good])
        for name in good:
            forget_aside(out, name)
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


_LEFT_OUT = ("failed", "quarantined")


def _results(job: Job, outcome: Outcome | None) -> Iterator[CaseResult]:
    for case in job.order.cases:
        if outcome is None:
            notes = read_notes(job.order, case)
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
                result="prepared" if job.state == "prepare" else "drawn",
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
    """Holds the prepared folder; SiteDataError where another command is at work in it."""
    busy = SiteDataError(
        f"{out}: another lesionfed-site prepare is at work in this folder. Wait for it, "
        "or choose another --out.",
        code="busy",
    )
    with ExitStack() as stack:
        with written_to(out):
            stack.enter_context(locked(out / ".lock", busy=busy))
        yield
