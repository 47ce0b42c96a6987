"""Where one run lives on the coordinator's disk, and what is set there before it starts."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO, Self

import tomli_w
from pydantic import Field, model_validator

from common.errors import ConfigError, RunFolderError
from common.files import is_locked, locked, write_whole
from common.machine import installed_lock
from common.membership.site import Role, SiteName
from common.recipe.recipe import Recipe, recipe_from_table
from common.settings import Settings, read_toml
from server.run.environment import environment
from server.run.notify_settings import Notify

LOOK_S = 0.5
"""Who asks whether a run executes holds its lock for an instant; a start tries for so long."""


class EnrolledSite(Settings):
    """A hospital that takes part."""

    name: SiteName
    public_key: str | None = None
    """What the site is known by: its registered public key (in the inline engine, its name); unset
    where the consortium has a members_file, which has the keys."""
    role: Role = "train"
    pooled_from: tuple[SiteName, ...] = ()
    """The sites whose data lie in this one, in a simulation of pooled training; else none."""

    @model_validator(mode="before")
    @classmethod
    def _role_of_older_files(cls, table: object) -> object:
        """Run folders of before sites could score had `trains`; their reports can still be made."""
        if not isinstance(table, Mapping) or "trains" not in table:
            return table
        role = "train" if table["trains"] else "statistics"
        return {"role": role} | {key: table[key] for key in table if key != "trains"}

    @property
    def n_indices(self) -> int:
        """How many site indices it has: one, or one for each site that lies in it."""
        return max(1, len(self.pooled_from))

    @property
    def trains(self) -> bool:
        """Whether the site learns and sends updates."""
        return self.role == "train"


class HeldOutData(Settings):
    """A site whose data lie with the coordinator by agreement and never train."""

    name: SiteName
    data: Path
    """The site's BIDS folder."""


class Consortium(Settings):
    """Who takes part in a run and who judges it; the coordinator's own file."""

    run: SiteName
    sites: tuple[EnrolledSite, ...] = Field(min_length=1)
    validation: tuple[HeldOutData, ...] = ()
    """Used for choices, never for the verdict."""
    unseen: tuple[HeldOutData, ...] = ()
    """Used for the verdict, never for a choice."""
    lesion_masks: Path | None = None
    """A folder of lesion masks from which the network of `loss.lesion_wise` learns; without it
    from masks that are drawn."""
    labels_are_local: bool = False
    """Whether equal labels at two sites are two people, as the coordinator has said: then the same
    label in two parts of the run is not refused as one subject."""
    federation: SiteName | None = None
    """The federation's name; None in a simulation."""
    notify: Notify | None = None
    """Who is notified when the run stalls, loses a site or ends."""
    members_file: Path | None = None
    """A federation's members.json: the sites' keys, read again before each exchange. A site may
    enrol, be suspended or be removed while the run continues."""

    @model_validator(mode="before")
    @classmethod
    def _without_the_limit_of_older_files(cls, table: object) -> object:
        """Runs of before Flower sent objects of 5 MB name a limit; they can still be reported."""
        if not isinstance(table, Mapping):
            return table
        return {key: value for key, value in table.items() if key != "largest_message_mb"}

    @model_validator(mode="after")
    def _names_and_keys_differ(self) -> Self:
        names = [name for site in self.sites for name in {site.name, *site.pooled_from}]
        names += [site.name for site in (*self.validation, *self.unseen)]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"site {name!r} is named twice; each site has one role")
        keys = [site.public_key for site in self.sites if site.public_key is not None]
        if len(set(keys)) != len(keys):
            raise ValueError("two sites have the same public_key")
        if self.members_file is None and len(keys) < len(self.sites):
            raise ValueError("a site has no public_key, and there is no members_file")
        if not any(site.trains for site in self.sites):
            raise ValueError("no site trains")
        return self

    @property
    def n_head_outputs(self) -> int:
        """Sites among which the site head tells: those that train, pooled ones one by one."""
        return sum(site.n_indices for site in self.sites if site.trains)

    def site_index(self, name: str) -> int:
        """The site's first index: those that train come first, each group in its order."""
        ordered = sorted(self.sites, key=lambda site: not site.trains)
        place = [site.name for site in ordered].index(name)
        return sum(site.n_indices for site in ordered[:place])


class RunFolder:
    """The files of one run, by what they are.

    path   runs/<id>
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def recipe_file(self) -> Path:
        """The recipe as run, every default spelled out."""
        return self.path / "recipe.toml"

    @property
    def consortium_file(self) -> Path:
        """Who takes part and who judges."""
        return self.path / "consortium.toml"

    @property
    def data_record_file(self) -> Path:
        """Subjects and digests of the images of every place whose data lie on this machine."""
        return self.path / "data-record.json"

    @property
    def environment_file(self) -> Path:
        """Versions and machine."""
        return self.path / "environment.json"

    @property
    def lock_file(self) -> Path:
        """Every installed package with its version, as pip reads it."""
        return self.path / "requirements.lock"

    @property
    def events_file(self) -> Path:
        """All that happened, a line each."""
        return self.path / "events.jsonl"

    @property
    def checkpoints(self) -> Path:
        """The run's state after each round."""
        return self.path / "checkpoints"

    @property
    def evaluation(self) -> Path:
        """Per-case scores and pictures of the held-out sites."""
        return self.path / "evaluation"

    @property
    def prepared(self) -> Path:
        """The held-out sites' standardized cases."""
        return self.path / "prepared"

    @property
    def model_file(self) -> Path:
        """The chosen network with all a prediction needs."""
        return self.path / "model.safetensors"

    @property
    def stop_file(self) -> Path:
        """When it appears, the run ends as stopped at its next look."""
        return self.path / "stop"

    @property
    def sitting_file(self) -> Path:
        """The number of the last start of this run."""
        return self.path / "sitting"

    @property
    def submissions_file(self) -> Path:
        """When the run was handed to Flower, and under which of Flower's ids, a line each."""
        return self.path / "submissions.jsonl"

    @property
    def lesion_metric_file(self) -> Path:
        """The network that has learned the lesion-wise F1, for the recipes that use one."""
        return self.path / "lesion-metric.safetensors"

    def require_new(self) -> None:
        """Nothing, or RunFolderError when the folder holds a run already, or something else."""
        if self.path.exists() and any(self.path.iterdir()):
            raise RunFolderError(
                f"{self.path} is not empty. Choose another --out, or --resume the run in it."
            )

    def create(self, recipe: Recipe, consortium: Consortium) -> None:
        """Lays the folder out; RunFolderError as `require_new`."""
        self.require_new()
        for folder in (self.path, self.checkpoints, self.evaluation):
            folder.mkdir(parents=True, exist_ok=True)
        facts = json.dumps(environment(), indent=1, sort_keys=True)
        write_whole(self.environment_file, facts.encode())
        write_whole(self.lock_file, installed_lock().encode())
        self.write_consortium(consortium)
        # last: a folder with a recipe is a run, and all the rest of it is there
        write_whole(self.recipe_file, _as_toml(recipe.model_dump(mode="json")))

    def write_consortium(self, consortium: Consortium) -> None:
        """Puts who takes part and who judges on disk, whole."""
        write_whole(self.consortium_file, _as_toml(consortium.model_dump(mode="json")))

    def locked(self) -> AbstractContextManager[BinaryIO]:
        """No other process executes this run meanwhile; RunFolderError where one does already."""
        if not self.path.is_dir():
            raise RunFolderError(f"{self.path} is not a run folder: no such folder.")
        busy = RunFolderError(
            f"{self.path}: another process executes this run. Wait until it ends, or stop it first."
        )
        return locked(self.path / "lock", busy=busy, wait_s=LOOK_S)

    def begin_sitting(self) -> int:
        """The number of this start of the run, larger than that of every one before.

        The time in ms, so that a folder restored from a copy, or a new run under an old name, does
        not begin with numbers that the sites have seen; one more than the last where the clock was
        set back. ConfigError where the file was changed.
        """
        try:
            last = int(self.sitting_file.read_text("ascii")) if self.sitting_file.exists() else 0
        except ValueError:
            raise ConfigError(f"{self.sitting_file}: want one whole number. Remove it.") from None
        sitting = max(last + 1, time.time_ns() // 1_000_000)
        write_whole(self.sitting_file, f"{sitting}\n".encode())
        return sitting

    def is_executing(self) -> bool:
        """Whether a process executes this run now; false too where there is no such folder."""
        return is_locked(self.path / "lock")

    def recipe(self) -> Recipe:
        """The recipe of this run."""
        return recipe_from_table(self._table(self.recipe_file), where=str(self.recipe_file))

    def consortium(self) -> Consortium:
        """Who takes part and who judges."""
        table = self._table(self.consortium_file)
        return Consortium.from_table(table, where=str(self.consortium_file))

    def _table(self, path: Path) -> dict[str, Any]:
        try:
            return read_toml(path)
        except ConfigError as error:
            raise RunFolderError(f"{self.path} is not a run folder. {error}") from None


def _as_toml(table: Mapping[str, Any]) -> bytes:
    """TOML has no null: a key without value is left out, and its default is None again."""
    return tomli_w.dumps(_without_none(table)).encode()


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_none(value[key]) for key in value if value[key] is not None}
    if isinstance(value, list | tuple):
        return [_without_none(inner) for inner in value]
    return value
