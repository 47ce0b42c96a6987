"""Every network of a study of methods, one after another; what is finished is kept."""

from __future__ import annotations

import functools

from server.run.run_folder import RunFolder
from server.simulate import lay_out
from server.studies.many_runs import Watch, conduct_runs
from server.studies.plan import Plan, PlannedRun
from server.studies.study_folder import StudyFolder


def conduct_study(
    folder: StudyFolder, *, images: bool = False, watch: Watch[PlannedRun] | None = None
) -> None:
    """Trains and judges every network of the plan that has no completed run yet.

    images   whether each run draws its unseen cases, and its report shows them
    watch    such as a progress display
    What is finished is kept: server/studies/many_runs.py.
    """
    plan = folder.plan()
    conduct_runs(
        folder.path,
        plan.runs(),
        begun_with=plan.code_digest,
        lay_out=functools.partial(_lay_out, plan),
        images=images,
        watch=watch,
    )


def _lay_out(plan: Plan, new: RunFolder, run: PlannedRun) -> None:
    """Fills the new folder of a run."""
    parts, recipe = run.parts, plan.recipe_of(run)
    lay_out(
        new,
        recipe,
        controls={site.name: site.data for site in plan.controls},
        lesion_masks=None if recipe.loss.lesion_wise is None else plan.lesion_masks,
        sites={name: plan.data[name] for name in parts.train},
        validation={name: plan.data[name] for name in parts.validation},
        unseen={name: plan.data[name] for name in parts.unseen},
    )
