"""Which networks a leave-site-out study trains, on which sites, and with how many steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, model_validator

from common.code_digest import code_digest
from common.errors import ConfigError
from common.recipe.recipe import Recipe
from server.run.data_record import DataPlace, RecordedPlace, places_of
from server.run.pooled_site import POOLED_DATA, pooled_recipe
from server.run.run_folder import RunFolder
from server.simulate import lay_out
from server.studies.plan import Parts, PlannedRun, StudyPlan, StudySite

MIN_SITES = 3
"""With two, a "federation" without one of them is a single site."""


class LeaveSiteOutPlan(StudyPlan):
    """A leave-site-out study: each site held out once, by a federated, a pooled and local networks.

    A run's parts.unseen: one site, or every other one for a local network.
    """

    kind: ClassVar = "leave-site-out study"
    command: ClassVar = "lesionfed leave-site-out"
    page: ClassVar = "leave-site-out.html"
    compared: ClassVar = {
        "recipe": "the recipe",
        "code_digest": "LesionFed's own code",
        "sites": "the sites",
        "labels_are_local": "whether labels are local",
    }

    recipe: Recipe
    """As asked for; `recipe_of` gives what each network is trained with."""
    recipe_sha256: str
    sites: tuple[StudySite, ...] = Field(min_length=MIN_SITES)
    steps_of_each_network: int
    """Optimizer steps in all: training rounds x steps x (sites - 1); with steps of a whole epoch
    training rounds x steps."""

    @model_validator(mode="after")
    def _fits_itself(self) -> Self:
        names = [site.name for site in self.sites]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"site {twice[0]!r} is named twice")
        if self.steps_of_each_network != _n_steps(self.recipe, len(names)):
            raise ValueError("steps_of_each_network is not what recipe and sites give")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The sites, in the order given."""
        return tuple(site.name for site in self.sites)

    @property
    def places(self) -> tuple[DataPlace, ...]:
        """Every site: each trains and is held out in turn."""
        return tuple(places_of(self.data, "any"))

    @property
    def data(self) -> dict[str, Path]:
        """Site -> its BIDS folder."""
        return {site.name: site.data for site in self.sites}

    def runs(self) -> list[PlannedRun]:
        """Every network, in the order of training: federated, pooled, local; sites as given."""
        without = [(name, tuple(n for n in self.names if n != name)) for name in self.names]
        runs = [
            self._run(
                method, f"without-{name}", f"without {name}", Parts(train=others, unseen=(name,))
            )
            for method in ("federated", "pooled")
            for name, others in without
        ]
        return runs + [
            self._run("local", name, f"{name} alone", Parts(train=(name,), unseen=others))
            for name, others in without
        ]

    def recipe_of(self, run: PlannedRun) -> Recipe:
        """What the network of `run` is trained with: the recipe, the budget shared alike.

        See docs/adr/0015. A network that learns at one place takes there the steps that the
        federated one takes at all its sites together. Every site must reply in every round: with
        one missing the budget would be another. Nothing is scored between the rounds.
        """
        changes = {
            "quorum": len(run.parts.train),
            "evaluate_every": self.recipe.federation.rounds,
        }
        federation = self.recipe.federation.model_copy(update=changes)
        recipe = self.recipe.model_copy(update={"federation": federation})
        if run.method == "federated":
            return recipe
        return pooled_recipe(recipe, n_sites=len(self.sites) - 1)

    def lay_out(
        self,
        run: PlannedRun,
        new: RunFolder,
        *,
        study: Path,
        known: Sequence[RecordedPlace] = (),
    ) -> None:
        """Fills the new folder of a run; a pooled network learns from links, in pooled-data."""
        pooled_in = None
        if run.method == "pooled":  # `without-NAME`: longer than NAME, so no other site's name
            pooled_in = study / POOLED_DATA / run.place.name
        lay_out(
            new,
            self.recipe_of(run),
            sites=self.folders(run.parts.train),
            unseen=self.folders(run.parts.unseen),
            labels_are_local=self.labels_are_local,
            pooled_in=pooled_in,
            known=known,
        )

    def _run(self, method: str, name: str, sites: str, parts: Parts) -> PlannedRun:
        return PlannedRun(
            method=method,
            seed=self.recipe.seed,
            place=Path(method, name),
            title=f"{method}, {sites}",
            parts=parts,
        )


def make_plan(
    recipe: Recipe, sites: Mapping[str, Path], *, labels_are_local: bool = False
) -> LeaveSiteOutPlan:
    """The study of `recipe` over `sites`, by the code of this process; ConfigError lists faults.

    sites   name -> BIDS folder, at least three
    labels_are_local   equal labels at two sites are two people
    """
    if len(sites) < MIN_SITES:
        raise ConfigError(
            f"want at least {MIN_SITES} sites, got {len(sites)}: each is left out once, and a "
            "federation without it needs two. Add --site NAME=PATH."
        )
    return LeaveSiteOutPlan.from_table(
        {
            "recipe": recipe.model_dump(mode="json"),
            "recipe_sha256": recipe.sha256(),
            "code_digest": code_digest(),
            "sites": [{"name": name, "data": data} for name, data in sites.items()],
            "steps_of_each_network": _n_steps(recipe, len(sites)),
            "labels_are_local": labels_are_local,
        },
        where="the settings of this study",
    )


def _n_steps(recipe: Recipe, n_sites: int) -> int:
    """ConfigError where each site has another number: one site alone could not take as many."""
    n_steps = recipe.n_training_rounds * recipe.optimizer.fixed_steps
    return n_steps if recipe.federation.steps_are == "whole-epoch" else n_steps * (n_sites - 1)
