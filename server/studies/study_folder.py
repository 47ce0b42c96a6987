"""Where a study of methods lies on disk, and how it is begun once."""

from __future__ import annotations

from pathlib import Path

from server.run.run_folder import RunFolder
from server.studies.plan import Plan, PlannedRun, read_plan
from server.studies.plan_file import begin_study


class StudyFolder:
    """The files of one study, by what they are.

    path   what `--out` named
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def plan_file(self) -> Path:
        """What the study consists of; written before anything else."""
        return self.path / "plan.json"

    @property
    def table_file(self) -> Path:
        """One row for each case that a network never saw."""
        return self.path / "table.csv"

    @property
    def summary_file(self) -> Path:
        """One row a method, seed and site, every figure a column."""
        return self.path / "summary.csv"

    @property
    def page_file(self) -> Path:
        """The study for a reader; holds no image of a patient."""
        return self.path / "study.html"

    def run_folder(self, run: PlannedRun) -> RunFolder:
        """The run of one network."""
        return RunFolder(self.path / run.place)

    def begin(self, plan: Plan) -> None:
        """Writes the plan, or nothing where the same one is there; another is refused.

        RunFolderError names what differs.
        """
        begin_study(
            self.plan_file,
            plan,
            kind="study of methods",
            read=read_plan,
            in_words={
                "methods": "the methods or their recipes",
                "seeds": "the seeds",
                "sites": "the sites",
                "validation": "the validation sites",
                "unseen": "the unseen sites",
                "controls": "the sites of controls",
                "lesion_masks": "the lesion masks",
                "folds": "the folds",
                "code_digest": "LesionFed's own code",
            },
        )

    def plan(self) -> Plan:
        """The plan the study began with."""
        return read_plan(self.plan_file)
