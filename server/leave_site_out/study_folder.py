"""Where a leave-site-out study lies on disk, and how it is begun once."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from common.errors import RunFolderError
from common.whole_file import write_whole
from server.leave_site_out.plan import Method, Plan, PlannedRun, read_plan
from server.run_folder import RunFolder

Judged = Literal[Method, "baseline"]
"""What gets scores: the three kinds of network, and the FLAIR threshold."""


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
        if self.plan_file.exists():
            self._require_the_same(plan, read_plan(self.plan_file))
            return
        visible = (
            path for path in self.path.glob("*") if path.name[0] != "."
        )  # a cut leaves a dot
        if any(visible):
            raise RunFolderError(
                f"{self.path} is not empty and holds no leave-site-out study. Choose another --out."
            )
        self.path.mkdir(parents=True, exist_ok=True)
        write_whole(self.plan_file, plan.as_json())

    def plan(self) -> Plan:
        """The plan the study began with."""
        return read_plan(self.plan_file)

    def _require_the_same(self, plan: Plan, begun: Plan) -> None:
        names = {
            "recipe": "the recipe",
            "code_digest": "LesionFed's own code",
            "sites": "the sites",
        }
        differ = [what for key, what in names.items() if getattr(plan, key) != getattr(begun, key)]
        if differ:
            raise RunFolderError(
                f"{self.path}: the study in it began with another plan ({', '.join(differ)} "
                "differ), and its networks would not be comparable. Choose another --out, or go "
                "on with the study as it began: --resume takes none of the other settings."
            )
