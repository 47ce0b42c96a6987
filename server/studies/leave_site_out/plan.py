"""Which networks a leave-site-out study trains, on which sites, and with how many steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from common.code_digest import code_digest
from common.errors import ConfigError
from common.recipe.recipe import Recipe
from common.settings import Settings
from server.studies.plan_file import NamedSite, read_plan_file, require_recipe_as_written

Method = Literal["federated", "pooled", "local"]

MIN_SITES = 3
"""With two, a "federation" without one of them is a single site."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedRun:
    """One network.

    place        its run folder below that of the study, such as federated/without-lyon
    trained_on   the sites it learns from, in the order of the plan
    tested_on    the sites it never sees: one, or every other one for a local network
    """

    method: Method
    place: Path
    trained_on: tuple[str, ...]
    tested_on: tuple[str, ...]

    @property
    def in_words(self) -> str:
        """Such as `federated, without lyon` or `local, lyon alone`."""
        if self.method == "local":
            return f"local, {self.trained_on[0]} alone"
        return f"{self.method}, without {self.tested_on[0]}"


class Plan(Settings):
    """All that is decided before the first network is trained; lies in `plan.json`.

    A study goes on only under the plan that it began with.
    """

    recipe: Recipe
    """As asked for; `recipe_of` gives what each network is trained with."""
    recipe_sha256: str
    code_digest: str
    """Of the code that made the plan: two versions do not share a table."""
    sites: tuple[NamedSite, ...] = Field(min_length=MIN_SITES)
    steps_of_each_network: int
    """Optimizer steps in all: training rounds x steps x (sites - 1)."""

    @model_validator(mode="after")
    def _fits_itself(self) -> Self:
        names = [site.name for site in self.sites]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"site {twice[0]!r} is named twice")
        if self.steps_of_each_network != _n_steps(self.recipe, len(names)):
            raise ValueError("steps_of_each_network is not rounds x steps x (sites - 1)")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The sites, in the order given."""
        return tuple(site.name for site in self.sites)

    @property
    def data(self) -> dict[str, Path]:
        """Site -> its BIDS folder."""
        return {site.name: site.data for site in self.sites}

    def runs(self) -> list[PlannedRun]:
        """Every network, in the order of training: federated, pooled, local; sites as given."""
        return [*self._without_one("federated"), *self._without_one("pooled"), *self._alone()]

    def recipe_of(self, run: PlannedRun) -> Recipe:
        """What the network of `run` is trained with: the recipe, the budget shared alike.

        See docs/adr/0015. A network that learns at one place takes there the steps that the
        federated one takes at all its sites together. Every site must reply in every round: with
        one missing the budget would be another. Nothing is scored between the rounds.
        """
        recipe = self.recipe
        steps, quorum = recipe.optimizer.steps, len(run.trained_on)
        if run.method != "federated":
            steps, quorum = steps * (len(self.sites) - 1), 1
        rounds = recipe.federation.rounds
        changes = {"quorum": quorum, "evaluate_every": rounds}
        return recipe.model_copy(
            update={
                "optimizer": recipe.optimizer.model_copy(update={"steps": steps}),
                "federation": recipe.federation.model_copy(update=changes),
            }
        )

    def _without_one(self, method: Literal["federated", "pooled"]) -> Iterator[PlannedRun]:
        for name in self.names:
            yield PlannedRun(
                method=method,
                place=Path(method, f"without-{name}"),
                trained_on=tuple(other for other in self.names if other != name),
                tested_on=(name,),
            )

    def _alone(self) -> Iterator[PlannedRun]:
        for name in self.names:
            yield PlannedRun(
                method="local",
                place=Path("local", name),
                trained_on=(name,),
                tested_on=tuple(other for other in self.names if other != name),
            )


def make_plan(recipe: Recipe, sites: Mapping[str, Path]) -> Plan:
    """The study of `recipe` over `sites`, by the code of this process; ConfigError lists faults.

    sites   name -> BIDS folder, at least three
    """
    if len(sites) < MIN_SITES:
        raise ConfigError(
            f"want at least {MIN_SITES} sites, got {len(sites)}: each is left out once, and a "
            "federation without it needs two. Add --site NAME=PATH."
        )
    return Plan.from_table(
        {
            "recipe": recipe.model_dump(mode="json"),
            "recipe_sha256": recipe.sha256(),
            "code_digest": code_digest(),
            "sites": [{"name": name, "data": data} for name, data in sites.items()],
            "steps_of_each_network": _n_steps(recipe, len(sites)),
        },
        where="the settings of this study",
    )


def read_plan(path: Path) -> Plan:
    """The plan in `path`; RunFolderError where there is none, or it is not as it was written.

    A later version that knows more settings of a recipe reads it all the same.
    """
    plan, table = read_plan_file(
        path, Plan, study="leave-site-out study", command="lesionfed leave-site-out"
    )
    require_recipe_as_written(path, table["recipe"], plan.recipe_sha256)
    return plan


def _n_steps(recipe: Recipe, n_sites: int) -> int:
    return recipe.n_training_rounds * recipe.optimizer.steps * (n_sites - 1)
