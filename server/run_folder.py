"""Where one run lives on the coordinator's disk, and what is set there before it starts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

import tomli_w
from pydantic import Field, model_validator

from common.errors import ConfigError, RunFolderError
from common.recipe import Recipe, recipe_from_table
from common.settings import Settings, read_toml
from common.whole_file import write_whole
from server.environment import environment, installed_lock

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
SiteName = Annotated[str, Field(pattern=NAME_PATTERN)]


class EnrolledSite(Settings):
    """A hospital that takes part."""

    name: SiteName
    public_key: str
    """What the site is known by: its registered public key (in the inline engine, its name)."""
    trains: bool = True
    """False for a site that adds to the template's statistics only, such as healthy controls."""


class HeldOutSite(Settings):
    """A site whose data lie with the coordinator by agreement and never train."""

    name: SiteName
    data: Path
    """The site's BIDS folder."""


class Consortium(Settings):
    """Who takes part in a run and who judges it; the coordinator's own file."""

    run: SiteName
    sites: tuple[EnrolledSite, ...] = Field(min_length=1)
    validation: tuple[HeldOutSite, ...] = ()
    """Used for choices, never for the verdict."""
    unseen: tuple[HeldOutSite, ...] = ()
    """Used for the verdict, never for a choice."""
    lesion_masks: Path | None = None
    """A folder of lesion masks from which the network of `loss.lesion_wise` learns; without it
    from masks that are drawn."""

    @model_validator(mode="after")
    def _names_and_keys_differ(self) -> Self:
        names = [site.name for site in self.sites]
        names += [site.name for site in (*self.validation, *self.unseen)]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"site {name!r} is named twice; each site has one role")
        keys = [site.public_key for site in self.sites]
        if len(set(keys)) != len(keys):
            raise ValueError("two sites have the same public_key")
        if not any(site.trains for site in self.sites):
            raise ValueError("no site trains")
        return self


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
    def lesion_metric_file(self) -> Path:
        """The network that has learned the lesion-wise F1, for the recipes that use one."""
        return self.path / "lesion-metric.safetensors"

    def create(self, recipe: Recipe, consortium: Consortium) -> None:
        """Lays the folder out; RunFolderError when it holds a run already."""
        if self.path.exists() and any(self.path.iterdir()):
            raise RunFolderError(
                f"{self.path} is not empty. Choose another --out, or --resume the run in it."
            )
        for folder in (self.path, self.checkpoints, self.evaluation):
            folder.mkdir(parents=True, exist_ok=True)
        facts = json.dumps(environment(), indent=1, sort_keys=True)
        write_whole(self.environment_file, facts.encode())
        write_whole(self.lock_file, installed_lock().encode())
        self.recipe_file.write_bytes(_as_toml(recipe.model_dump(mode="json")))
        self.consortium_file.write_bytes(_as_toml(consortium.model_dump(mode="json")))

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


def _without_none(table: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value) if isinstance(value, dict) else value
        for key, value in table.items()
        if value is not None
    }
