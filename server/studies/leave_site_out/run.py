"""Every network of a study, one after another; what is finished is kept."""

from __future__ import annotations

import functools

from server.run.run_folder import RunFolder
from server.simulate import lay_out
from server.studies.leave_site_out.plan import Plan, PlannedRun
from server.studies.leave_site_out.pooled_site import pool_sites
from server.studies.leave_site_out.study_folder import StudyFolder
from server.studies.many_runs import Outcome, Watch, conduct_runs, outcome_at


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
        lay_out=functools.partial(_lay_out, folder, plan),
        images=images,
        watch=watch,
    )


def outcome_of(folder: StudyFolder, run: PlannedRun) -> Outcome:
    """How the run of one network ended, or that it has not."""
    return outcome_at(folder.path / run.place)


def _lay_out(folder: StudyFolder, plan: Plan, new: RunFolder, run: PlannedRun) -> None:
    """Fills the new folder of a run."""
    sites = {name: plan.data[name] for name in run.trained_on}
    if run.method == "pooled":  # `without-NAME`: longer than NAME, so no other site is called so
        sites = {run.place.name: pool_sites(sites, folder.pooled_data(run))}
    unseen = {name: plan.data[name] for name in run.tested_on}
    lay_out(new, plan.recipe_of(run), sites=sites, unseen=unseen)
