"""A new study: its sites are looked at for leakage, then its plan is written."""

from __future__ import annotations

from server.run.data_record import write_record
from server.run.leakage import examined_places
from server.studies.plan import StudyPlan
from server.studies.study_folder import AnyStudy


def begin_study(folder: AnyStudy, plan: StudyPlan) -> None:
    """Writes the plan and what lies at its sites; nothing where the same study is there already.

    ConfigError where two sites share a folder, a subject or an image: nothing is written then.
    RunFolderError as `StudyFolder.begin`.
    """
    if folder.plan_file.exists():
        folder.begin(plan)
        return
    record = examined_places(
        plan.places, recipe=plan.recipe_of(plan.runs()[0]), labels_are_local=plan.labels_are_local
    )
    folder.begin(plan)
    write_record(folder.data_record_file, record)
