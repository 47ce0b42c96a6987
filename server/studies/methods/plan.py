"""Which methods a study compares, on which sites, with which seeds and in which folds."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from common.code_digest import code_digest
from common.errors import ConfigError
from common.membership.site import NAME_PATTERN
from common.recipe.recipe import Recipe
from common.settings import Settings
from server.run.data_record import DataPlace, PartOfRun, RecordedPlace
from server.run.pooled_site import POOLED_DATA, pooled_recipe
from server.run.run_folder import RunFolder
from server.simulate import Folders, lay_out
from server.studies.methods.folds import parts_of_fold, split_sites
from server.studies.plan import Parts, PlannedRun, StudyPlan, StudySite


class Method(Settings):
    """One of the things compared: the recipe with one variant's changes."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    recipe: Recipe
    """With its own seed; `MethodsPlan.recipe_of` gives each run's."""
    recipe_sha256: str
    pooled: bool = False
    """Whether one site of all the training sites' data learns it, in place of the federation."""
    alone: str | None = None
    """The only site that learns it, in place of the federation."""
    seeds: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    """Unset: all of the study's."""


class MethodsPlan(StudyPlan):
    """A study of methods: every method with every seed, in every fold."""

    kind: ClassVar = "study of methods"
    command: ClassVar = "lesionfed study"
    page: ClassVar = "study.html"
    compared: ClassVar = {
        "methods": "the methods or their recipes",
        "seeds": "the seeds",
        "sites": "the sites",
        "validation": "the validation sites",
        "unseen": "the unseen sites",
        "controls": "the sites of controls",
        "lesion_masks": "the lesion masks",
        "folds": "the folds",
        "labels_are_local": "whether labels are local",
        "code_digest": "LesionFed's own code",
    }

    methods: tuple[Method, ...] = Field(min_length=1)
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)
    sites: tuple[StudySite, ...] = Field(min_length=1)
    """Those that train; with folds, each is held out once."""
    validation: tuple[StudySite, ...] = ()
    unseen: tuple[StudySite, ...] = ()
    controls: tuple[StudySite, ...] = ()
    """Those that add to every run's template only."""
    lesion_masks: Path | None = None
    """A folder of masks for the methods with `loss.lesion_wise`; None: they are drawn."""
    folds: tuple[tuple[str, ...], ...] = ()
    """The sites' names, one tuple a fold; none: every site trains."""

    @model_validator(mode="after")
    def _fits_itself(self) -> Self:
        _require_once("seed", self.seeds)
        _require_once("method", [method.name for method in self.methods])
        _require_once("site", [site.name for site in self._all_sites])
        if self.folds:
            in_folds = sorted(name for part in self.folds for name in part)
            if in_folds != sorted(site.name for site in self.sites):
                raise ValueError("the folds do not hold every site once")
            if self.validation or self.unseen:
                raise ValueError("with folds every site has its turn: name no other sites")
        elif not self.unseen:
            raise ValueError("no unseen site, so there would be no verdict")
        for method in self.methods:
            if odd := sorted(set(method.seeds or ()) - set(self.seeds)):
                raise ValueError(f"method {method.name!r} has seeds that the study lacks: {odd}")
            if method.alone not in (None, *(site.name for site in self.sites)):
                raise ValueError(f"method {method.name!r} learns at {method.alone!r}, no --site")
        learned = [method.recipe.loss.lesion_wise is not None for method in self.methods]
        if self.lesion_masks is not None and not any(learned):
            raise ValueError("lesion masks, and no method has loss.lesion_wise, which needs them")
        return self

    @property
    def places(self) -> tuple[DataPlace, ...]:
        """Every site with its part; with folds each has every part in turn."""
        parts: dict[PartOfRun, tuple[StudySite, ...]] = {
            "any" if self.folds else "train": self.sites,
            "statistics": self.controls,
            "validation": self.validation,
            "unseen": self.unseen,
        }
        return tuple(
            DataPlace(name=site.name, part=part, data=site.data)
            for part, sites in parts.items()
            for site in sites
        )

    @property
    def data(self) -> dict[str, Path]:
        """Site -> its BIDS folder."""
        return {site.name: site.data for site in self._all_sites}

    def runs(self) -> list[PlannedRun]:
        """Every network, in the order of training: a study that is cut has compared all methods."""
        return [
            _planned_run(method.name, seed, fold, _parts_for(method, parts))
            for seed in self.seeds
            for fold, parts in self._parts()
            for method in self.methods
            if seed in (self.seeds if method.seeds is None else method.seeds)
            and method.alone in (None, *parts.train)
        ]

    def recipe_of(self, run: PlannedRun) -> Recipe:
        """What the network of `run` is trained with: the method's recipe with the run's seed.

        Every site must reply in every round: with one missing the methods would not have learned
        from the same data.
        """
        method, n_sites = self._method(run), len(run.parts.train)
        federation = method.recipe.federation.model_copy(update={"quorum": n_sites})
        recipe = method.recipe.model_copy(update={"seed": run.seed, "federation": federation})
        return pooled_recipe(recipe, n_sites=n_sites) if method.pooled else recipe

    def lay_out(
        self,
        run: PlannedRun,
        new: RunFolder,
        *,
        study: Path,
        known: Sequence[RecordedPlace] = (),
    ) -> None:
        """Fills the new folder of a run; a pooled method learns from links, in pooled-data."""
        recipe, pooled_in = self.recipe_of(run), None
        if self._method(run).pooled:  # one folder for all runs over the same sites
            folder = "pooled" if run.fold is None else f"pooled-fold-{run.fold}"
            pooled_in = study / POOLED_DATA / folder
        lay_out(
            new,
            recipe,
            controls={site.name: site.data for site in self.controls},
            lesion_masks=None if recipe.loss.lesion_wise is None else self.lesion_masks,
            sites=self.folders(run.parts.train),
            validation=self.folders(run.parts.validation),
            unseen=self.folders(run.parts.unseen),
            labels_are_local=self.labels_are_local,
            pooled_in=pooled_in,
            known=known,
        )

    def _method(self, run: PlannedRun) -> Method:
        [method] = [method for method in self.methods if method.name == run.method]
        return method

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
    def _all_sites(self) -> tuple[StudySite, ...]:
        return (*self.sites, *self.controls, *self.validation, *self.unseen)


@dataclass(frozen=True, kw_only=True, slots=True)
class Beside:
    """The methods that also stand beside themselves in another form, or train with one seed.

    pooled   as METHOD-pooled, from the pooled data of all training sites
    alone    as METHOD-alone-SITE, at each training site by itself
    once     with the first seed only, in every form
    """

    pooled: Collection[str] = ()
    alone: Collection[str] = ()
    once: Collection[str] = ()


def make_plan(
    recipes: Mapping[str, Recipe],
    *,
    seeds: Sequence[int],
    sites: Folders,
    validation: Folders | None = None,
    unseen: Folders | None = None,
    controls: Folders | None = None,
    lesion_masks: Path | None = None,
    labels_are_local: bool = False,
    n_folds: int | None = None,
    beside: Beside = Beside(),  # frozen
) -> MethodsPlan:
    """The study of `recipes`, by the code of this process; ConfigError lists faults.

    recipes        method -> its recipe
    controls       sites that add to the template only
    lesion_masks   a folder of masks for the methods with `loss.lesion_wise`; None: they are drawn
    labels_are_local   equal labels at two sites are two people
    n_folds   None: every site trains. Else the sites are split by the first recipe's own seed, so
              that every method and every seed has the same folds
    beside    which of the methods also train in another way; ConfigError for an unknown one
    """
    for option, names in dataclasses.asdict(beside).items():
        if odd := sorted(set(names) - set(recipes)):
            raise ConfigError(f"--{option} {odd[0]}: want one of {', '.join(recipes)}")
    if n_folds is None and not unseen:
        raise ConfigError("want --held-out NAME=PATH, an unseen site to judge at, or --folds K")
    if n_folds is not None and (unseen or validation):
        raise ConfigError(
            "with --folds every --site has its turn: leave out --held-out and --validation"
        )
    folds: list[tuple[str, ...]] = []
    if n_folds is not None:
        folds = split_sites(list(sites), n_folds, seed=next(iter(recipes.values())).seed)
    return MethodsPlan.from_table(
        {
            "methods": [
                form | {"seeds": list(seeds)[:1] if name in beside.once else None}
                for name, recipe in recipes.items()
                for form in _forms(name, recipe, beside, sites)
            ],
            "seeds": list(seeds),
            "sites": _named_sites(sites),
            "validation": _named_sites(validation or {}),
            "unseen": _named_sites(unseen or {}),
            "controls": _named_sites(controls or {}),
            "lesion_masks": None if lesion_masks is None else lesion_masks.resolve(),
            "folds": folds,
            "labels_are_local": labels_are_local,
            "code_digest": code_digest(),
        },
        where="the settings of this study",
    )


def _forms(
    name: str, recipe: Recipe, beside: Beside, sites: Collection[str]
) -> list[dict[str, object]]:
    """The method's tables: federated, then pooled, then alone at each site."""
    learned = {"recipe": recipe.model_dump(mode="json"), "recipe_sha256": recipe.sha256()}
    forms: list[dict[str, object]] = [{"name": name}]
    if name in beside.pooled:
        forms.append({"name": f"{name}-pooled", "pooled": True})
    if name in beside.alone:
        forms += [{"name": f"{name}-alone-{site}", "alone": site} for site in sites]
    return [learned | form for form in forms]


def _parts_for(method: Method, parts: Parts) -> Parts:
    return parts if method.alone is None else dataclasses.replace(parts, train=(method.alone,))


def _planned_run(method: str, seed: int, fold: int | None, parts: Parts) -> PlannedRun:
    in_place = "" if fold is None else f"fold-{fold}-"
    in_title = "" if fold is None else f"fold {fold}, "
    return PlannedRun(
        method=method,
        seed=seed,
        fold=fold,
        place=Path(method, f"{in_place}seed-{seed}"),
        title=f"{method}, {in_title}seed {seed}",
        parts=parts,
    )


def _named_sites(folders: Folders) -> list[dict[str, object]]:
    return [{"name": name, "data": data} for name, data in folders.items()]


def _require_once(what: str, values: Sequence[object]) -> None:
    if twice := [value for value in values if list(values).count(value) > 1]:
        raise ValueError(f"{what} {twice[0]!r} is named twice")
