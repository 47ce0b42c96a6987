"""Where a study lies on disk, and how it begins exactly once."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Generic, TypeVar

from common.errors import ConfigError, RunFolderError
from common.files import write_whole
from common.settings import Settings, Table
from server.run.run_folder import RunFolder
from server.studies.plan import PlannedRun, StudyPlan

Plan = TypeVar("Plan", bound=StudyPlan)


class StudyFolder(Generic[Plan]):
    """The files of one study, by what they are.

    path        what `--out` named
    plan_kind   the class of its plan
    """

    def __init__(self, path: Path, plan_kind: type[Plan]) -> None:
        self.path = path
        self._plan_kind = plan_kind

    @property
    def plan_file(self) -> Path:
        """What the study consists of; written before anything else."""
        return self.path / "plan.json"

    @property
    def data_record_file(self) -> Path:
        """Subjects and digests of the images of every site, as they were when the study began."""
        return self.path / "data-record.json"

    @property
    def table_file(self) -> Path:
        """The study's main table: of methods one row an unseen case, of sites left out one row a
        method and metric."""
        return self.path / "table.csv"

    @property
    def summary_file(self) -> Path:
        """One row a method, seed and site, every figure a column; of a study of methods."""
        return self.path / "summary.csv"

    @property
    def site_probe_file(self) -> Path:
        """One row a network whose features were probed for its sites; of a study of methods."""
        return self.path / "site-probe.csv"

    @property
    def unseen_file(self) -> Path:
        """One row a method: its mean over the unseen sites, with an interval, and its worst one."""
        return self.path / "unseen-sites.csv"

    @property
    def matrix_file(self) -> Path:
        """One row for each network and threshold at each site it never saw; of sites left out."""
        return self.path / "matrix.csv"

    @property
    def page_file(self) -> Path:
        """The study for a reader; holds no image of a patient."""
        return self.path / self._plan_kind.page

    def cases_file(self, method: str) -> Path:
        """One row a case, tested where it was unseen; what `lesionfed compare` reads."""
        return self.path / method / "cases.csv"

    def run_folder(self, run: PlannedRun) -> RunFolder:
        """The run of one network."""
        return RunFolder(self.path / run.place)

    def begin(self, plan: Plan) -> None:
        """Writes the plan, or nothing where the same one is there; another is refused.

        RunFolderError names what differs.
        """
        if self.plan_file.exists():
            self._require_same(plan)
            return
        if any(path.name[0] != "." for path in self.path.glob("*")):  # a cut leaves a dot file
            raise RunFolderError(
                f"{self.path} is not empty and holds no {plan.kind}. Choose another --out."
            )
        self.path.mkdir(parents=True, exist_ok=True)
        write_whole(self.plan_file, as_json(plan))

    def plan(self) -> Plan:
        """The plan the study began with; RunFolderError where there is none, or it was changed.

        A later version that knows more settings of a recipe reads it all the same.
        """
        kind, path = self._plan_kind, self.plan_file
        try:
            table = _table(path)
            plan = kind.from_table(table, where=str(path))
        except FileNotFoundError:
            raise RunFolderError(
                f"{path}: no such file, so {path.parent} is no {kind.kind}. Give the folder "
                f"that `{kind.command} --out` named."
            ) from None
        except (OSError, ValueError, ConfigError) as error:
            raise RunFolderError(f"{path} cannot be read as a plan. {error}") from None
        for entry in (table, *table.get("methods", ())):
            if "recipe" in entry:
                _require_recipe_as_written(path, entry["recipe"], entry["recipe_sha256"])
        return plan

    def _require_same(self, plan: Plan) -> None:
        begun = self.plan()
        differ = [
            words
            for part, words in plan.compared.items()
            if getattr(plan, part) != getattr(begun, part)
        ]
        if differ:
            raise RunFolderError(
                f"{self.path}: the study in it began with another plan ({', '.join(differ)} "
                "differ), and its networks would not be comparable. Choose another --out, or go "
                "on with the study as it began: --resume takes none of the other settings."
            )


AnyStudy = StudyFolder[Any]


def as_json(plan: Settings) -> bytes:
    """What `plan.json` holds."""
    return json.dumps(plan.model_dump(mode="json"), indent=1).encode() + b"\n"


def _table(path: Path) -> Table:
    table: Any = json.loads(path.read_bytes())
    if not isinstance(table, dict):
        raise ValueError(f"want a table, got {type(table).__name__}")
    return table


def _require_recipe_as_written(path: Path, recipe: object, sha256: str) -> None:
    """Nothing, or RunFolderError where the plan's recipe is not the one its digest names.

    recipe   as it stands in the file: a later version knows more settings of it
    """
    written = json.dumps(recipe, sort_keys=True, separators=(",", ":"))
    if hashlib.sha256(written.encode()).hexdigest() != sha256:
        raise RunFolderError(
            f"{path}: its recipe is not the one that the study began with (recipe_sha256). Put it "
            "back as it was, or start a new study with another --out."
        )
