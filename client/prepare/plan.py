"""What there is to do at a site: its cases, what is prepared already, what each would take."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from client.prepare.derivatives import is_written
from client.prepare.job import CaseSource, WorkOrder, file_digest
from client.prepare.memory import needed_bytes
from client.prepare.qc_page import is_drawn
from common.errors import ConfigError
from common.imaging.intake.bids import REFERENCE
from common.imaging.intake.intake import Intake, survey
from common.imaging.intake.usable_case import UsableCase
from common.imaging.standardization.template import Template
from common.recipe.recipe import Recipe, Task

State = Literal["prepare", "draw", "done"]
"""prepare: the volumes have to be made; draw: their quality pages alone; done: nothing to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One order, how much of it is left to do, and the memory it is expected to take."""

    order: WorkOrder
    state: State
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Every job of a site, by name, and what its intake found."""

    jobs: tuple[Job, ...]
    intake: Intake


def plan_site(
    root: Path,
    *,
    recipe: Recipe,
    out: Path,
    brain_command: Sequence[str] = (),
    template: Template | None = None,
    mapping: Path | None = None,
    on_case: Callable[[int, int], None] | None = None,
) -> Plan:
    """The site's jobs; reads every source, computes and writes nothing.

    root, mapping   as in `survey`: the site's folder, and the table of its files if it is not BIDS
    out             the prepared folder, which may not exist yet
    template        a model's, shown in the histograms; None: the recipe's, where it is fixed
    on_case         called by intake with the number of cases done and their number
    ConfigError where the recipe has no steps.
    """
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
    cases = [_source(case, recipe.task) for case in intake.usable]
    jobs = []
    for group in _groups(cases, together=settings.space == "halfway"):
        files = {path.relative_to(root).as_posix(): path for case in group for path in case.files}
        order = WorkOrder(
            cases=tuple(group),
            root=root,
            out=out,
            preprocessing=settings,
            brain_command=tuple(brain_command),
            threads=recipe.compute.threads,
            digests={shown: file_digest(path) for shown, path in files.items()},
            template=template,
        )
        jobs.append(Job(order=order, state=_state(order), memory_bytes=needed_bytes(order)))
    return Plan(tuple(jobs), intake)


def _source(case: UsableCase, task: Task) -> CaseSource:
    """What of an intake's case a worker needs."""
    return CaseSource(
        subject=case.subject,
        session=case.session,
        images=dict(case.images),
        lesion_mask=case.lesion_mask,
        brain_mask=case.brain_mask,
        cord_mask=case.cord_mask,
        centreline=case.centreline,
        reference=REFERENCE[task.target],
        rater_masks=dict(case.rater_masks),
    )


def _groups(cases: Sequence[CaseSource], *, together: bool) -> list[list[CaseSource]]:
    """Each case alone, or a subject's sessions together; intake gives them in order."""
    if not together:
        return [[case] for case in cases]
    return [list(group) for _, group in itertools.groupby(cases, key=lambda case: case.subject)]


def _state(order: WorkOrder) -> State:
    if not all(is_written(order, case) for case in order.cases):
        return "prepare"
    return "done" if all(is_drawn(order, case) for case in order.cases) else "draw"
