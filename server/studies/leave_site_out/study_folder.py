"""Where a leave-site-out study lies on disk, and how it is begun once."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from server.run.run_folder import RunFolder
from server.studies.leave_site_out.plan import Method, Plan, PlannedRun, read_plan
from server.studies.plan_file import begin_study

Judged = Literal[Method, "baseline"]
"""What gets scores: the three kinds of network, and the intensity threshold."""


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
    def matrix_file(self) -> Path:
        """One row for each network and threshold at each site it never saw."""
        return self.path / "matrix.csv"

    @property
    def table_file(self) -> Path:
        """One row a method and metric, over all unseen cases."""
        return self.path / "table.csv"

    @property
    def page_file(self) -> Path:
        """The study for a reader; holds no image."""
        return self.path / "leave-site-out.html"

    def cases_file(self, method: Judged) -> Path:
        """One row a case, tested where it was unseen; what `lesionfed compare` reads."""
        return self.path / method / "cases.csv"

    def run_folder(self, run: PlannedRun) -> RunFolder:
        """The run of one network."""
        return RunFolder(self.path / run.place)

    def pooled_data(self, run: PlannedRun) -> Path:
        """Links to the cases of all sites that a pooled network learns from."""
        return self.path / "pooled-data" / run.place.name

    def begin(self, plan: Plan) -> None:
        """Writes the plan, or nothing where the same one is there; another is refused.

        RunFolderError names what differs.
        """
        begin_study(
            self.plan_file,
            plan,
            kind="leave-site-out study",
            read=read_plan,
            in_words={
                "recipe": "the recipe",
                "code_digest": "LesionFed's own code",
                "sites": "the sites",
            },
        )

    def plan(self) -> Plan:
        """The plan the study began with."""
        return read_plan(self.plan_file)
