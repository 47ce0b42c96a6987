"""Which methods a study compares, on which sites, with which seeds and in which folds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from common.code_digest import code_digest
from common.errors import ConfigError
from common.membership.site import NAME_PATTERN
from common.recipe.recipe import Recipe
from common.settings import Settings
from server.studies.folds import Parts, deal_folds, parts_of_fold
from server.studies.plan_file import NamedSite, read_plan_file, require_recipe_as_written

Folders = Mapping[str, Path]


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedRun:
    """One network: one method, with one seed, in one fold.

    fold    from 1; None where the study has no folds
    place   its run folder below that of the study, such as uniform/fold-1-seed-0
    parts   which sites it learns from, is chosen on and is judged at
    """

    method: str
    seed: int
    fold: int | None
    parts: Parts

    @property
    def place(self) -> Path:
        fold = "" if self.fold is None else f"fold-{self.fold}-"
        return Path(self.method, f"{fold}seed-{self.seed}")

    @property
    def in_words(self) -> str:
        """Such as `uniform, fold 1, seed 0`."""
        fold = "" if self.fold is None else f"fold {self.fold}, "
        return f"{self.method}, {fold}seed {self.seed}"


class Method(Settings):
    """One of the things compared: the recipe with one variant's changes."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    recipe: Recipe
    """With its own seed; `Plan.recipe_of` gives each run's."""
    recipe_sha256: str


class Plan(Settings):
    """All that is decided before the first network is trained; lies in `plan.json`.

    A study goes on only under the plan that it began with.
    """

    methods: tuple[Method, ...] = Field(min_length=1)
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)
    sites: tuple[NamedSite, ...] = Field(min_length=1)
    """Those that train; with folds, each is unseen once."""
    validation: tuple[NamedSite, ...] = ()
    unseen: tuple[NamedSite, ...] = ()
    controls: tuple[NamedSite, ...] = ()
    """Those that add to every run's template only."""
    lesion_masks: Path | None = None
    """A folder of masks for the methods with `loss.lesion_wise`; None: they are drawn."""
    folds: tuple[tuple[str, ...], ...] = ()
    """The sites' names, dealt into parts; none: every site trains."""
    code_digest: str
    """Of the code that made the plan: two versions do not share a table."""

    @model_validator(mode="after")
    def _fits_itself(self) -> Self:
        _require_once("seed", self.seeds)
        _require_once("method", [method.name for method in self.methods])
        _require_once("site", [site.name for site in self._all_sites])
        if self.folds:
            dealt = sorted(name for part in self.folds for name in part)
            if dealt != sorted(site.name for site in self.sites):
                raise ValueError("the folds do not hold every site once")
            if self.validation or self.unseen:
                raise ValueError("with folds every site has its turn: name no other sites")
        elif not self.unseen:
            raise ValueError("no unseen site, so there would be no verdict")
        learned = [method.recipe.loss.lesion_wise is not None for method in self.methods]
        if self.lesion_masks is not None and not any(learned):
            raise ValueError("lesion masks, and no method has loss.lesion_wise, which needs them")
        return self

    @property
    def data(self) -> dict[str, Path]:
        """Site -> its BIDS folder."""
        return {site.name: site.data for site in self._all_sites}

    def runs(self) -> list[PlannedRun]:
        """Every network, in the order of training: a study that is cut has compared all methods."""
        return [
            PlannedRun(method=method.name, seed=seed, fold=fold, parts=parts)
            for seed in self.seeds
            for fold, parts in self._parts()
            for method in self.methods
        ]

    def recipe_of(self, run: PlannedRun) -> Recipe:
        """What the network of `run` is trained with: the method's recipe with the run's seed.

        Every site must reply in every round: with one missing the methods would not have learned
        from the same data.
        """
        [recipe] = [method.recipe for method in self.methods if method.name == run.method]
        federation = recipe.federation.model_copy(update={"quorum": len(run.parts.train)})
        return recipe.model_copy(update={"seed": run.seed, "federation": federation})

    def _parts(self) -> Iterator[tuple[int | None, Parts]]:
        if not self.folds:
            yield (
                None,
                Parts(
                    train=tuple(site.name for site in self.sites),
                    validation=tuple(site.name for site in self.validation),
                    unseen=tuple(site.name for site in self.unseen),
                ),
            )
        for fold in range(1, len(self.folds) + 1):
            yield fold, parts_of_fold(self.folds, fold)

    @property
    def _all_sites(self) -> tuple[NamedSite, ...]:
        return (*self.sites, *self.controls, *self.validation, *self.unseen)


def make_plan(
    recipes: Mapping[str, Recipe],
    *,
    seeds: Sequence[int],
    sites: Folders,
    validation: Folders | None = None,
    unseen: Folders | None = None,
    controls: Folders | None = None,
    lesion_masks: Path | None = None,
    n_folds: int | None = None,
) -> Plan:
    """The study of `recipes`, by the code of this process; ConfigError lists faults.

    recipes        method -> its recipe
    controls       sites that add to the template only
    lesion_masks   a folder of masks for the methods with `loss.lesion_wise`; None: they are drawn
    n_folds   None: every site trains. Else the sites are dealt by the first recipe's own seed, so
              that every method and every seed has the same folds
    """
    if n_folds is None and not unseen:
        raise ConfigError("want --held-out NAME=PATH, an unseen site to judge at, or --folds K")
    if n_folds is not None and (unseen or validation):
        raise ConfigError(
            "with --folds every --site has its turn: leave out --held-out and --validation"
        )
    folds: list[tuple[str, ...]] = []
    if n_folds is not None:
        folds = deal_folds(list(sites), n_folds, seed=next(iter(recipes.values())).seed)
    return Plan.from_table(
        {
            "methods": [
                {
                    "name": name,
                    "recipe": recipe.model_dump(mode="json"),
                    "recipe_sha256": recipe.sha256(),
                }
                for name, recipe in recipes.items()
            ],
            "seeds": list(seeds),
            "sites": _named_sites(sites),
            "validation": _named_sites(validation or {}),
            "unseen": _named_sites(unseen or {}),
            "controls": _named_sites(controls or {}),
            "lesion_masks": None if lesion_masks is None else lesion_masks.resolve(),
            "folds": folds,
            "code_digest": code_digest(),
        },
        where="the settings of this study",
    )


def read_plan(path: Path) -> Plan:
    """The plan in `path`; RunFolderError where there is none, or it is not as it was written.

    A later version that knows more settings of a recipe reads it all the same.
    """
    plan, table = read_plan_file(path, Plan, study="study of methods", command="lesionfed study")
    for method, written in zip(plan.methods, table["methods"], strict=True):
        require_recipe_as_written(path, written["recipe"], method.recipe_sha256)
    return plan


def _named_sites(folders: Folders) -> list[dict[str, object]]:
    return [{"name": name, "data": data} for name, data in folders.items()]


def _require_once(what: str, values: Sequence[object]) -> None:
    if twice := [value for value in values if list(values).count(value) > 1]:
        raise ValueError(f"{what} {twice[0]!r} is named twice")
