"""One experiment as data: read from TOML, checked, and named by the SHA-256 of its content."""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from common.errors import ConfigError, printable_lines
from common.recipe.cascade import cascade_faults
from common.recipe.federated_faults import federated_faults
from common.recipe.federation import Federation, Optimizer, PatchesPerSubject
from common.recipe.inference import Compute, Evaluation, Inference
from common.recipe.loss import BatchDice, Loss, OfPatchOrBatch
from common.recipe.network import CascadeSettings, Network, SiameseMPUNetSettings
from common.recipe.norm_size import LEAST_VALUES
from common.recipe.preprocessing import Preprocessing
from common.recipe.sampling import Augmentation, Sampling
from common.recipe.standardization import Standardization
from common.recipe.task import Task
from common.recipe.transplant import transplant_faults
from common.settings import Settings, Table, read_toml, with_overrides, with_value

Scale = Literal["full", "small"]

SCALABLE = frozenset(
    {
        "federation.evaluate_every",
        "federation.rounds",
        "inference.overlap",
        "loss.lesion_wise.batch_size",
        "loss.lesion_wise.from_round",
        "loss.lesion_wise.n_pairs",
        "loss.lesion_wise.steps",
        "loss.lesion_wise.widths",
        "network.checkpointing",
        "network.first_stride",
        "network.widths",
        "optimizer.steps",
        "sampling.batch_size",
        "sampling.patch_shape",
    }
)
"""What a `[scale.small]` table may change: sizes and steps, never the method."""

NOT_SETTINGS = frozenset({"scale", "variants"})
"""Tables of a recipe's file that change settings and are not settings themselves."""

CASCADE_PATCH = (11, 11, 11)
"""Voxels along (i, j, k): what the dense layer of network 'cascade' is built for."""


class Recipe(Settings):
    """The whole experiment."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    description: str
    seed: Annotated[int, Field(ge=0)] = 0
    task: Task
    preprocessing: Preprocessing = Preprocessing()
    standardization: Standardization
    network: Network
    loss: Loss
    sampling: Sampling
    optimizer: Optimizer
    federation: Federation
    inference: Inference = Inference()
    evaluation: Evaluation = Evaluation()
    compute: Compute = Compute()

    @property
    def n_training_rounds(self) -> int:
        """Training rounds of a whole run: those of both networks in a cascade."""
        return self.federation.rounds * (2 if self.network.name == "cascade" else 1)

    @field_validator("name", "description")
    @classmethod
    def _can_be_shown(cls, text: str) -> str:
        if printable_lines(text) != text:
            raise ValueError(f"want a text that a terminal can show, got {text[:80]!r}")
        return text

    @model_validator(mode="after")
    def _parts_go_together(self) -> Self:
        if faults := list(incompatibilities(self)):
            raise ValueError("; ".join(faults))
        self.standardization.check_template(self.task.modalities)
        return self


def load_recipe(
    source: str,
    *,
    scale: Scale = "full",
    variant: str | None = None,
    overrides: Sequence[str] = (),
) -> Recipe:
    """The recipe that `source` names, with its scale, variant and overrides applied, checked.

    source      the name of a recipe that comes with LesionFed, or the path of a TOML file
    scale       "small" applies the file's `[scale.small]` table, which may change sizes and steps
    variant     the name of one of the file's `[variants.*]` tables: a method to compare
    overrides   `a.b=c` texts, applied last
    """
    path = recipe_file(source)
    return recipe_from_table(
        read_toml(path), where=str(path), scale=scale, variant=variant, overrides=overrides
    )


def recipe_file(source: str) -> Path:
    """The file of a recipe that comes with LesionFed, or the TOML file itself."""
    shipped = shipped_recipes()
    if source in shipped:
        return shipped[source]
    if not source.endswith(".toml"):
        raise ConfigError(
            f"no recipe named {source!r}: want one of {', '.join(sorted(shipped))}, "
            "or the path of a .toml file"
        )
    return Path(source)


def recipe_from_table(
    table: Table,
    *,
    where: str,
    scale: Scale = "full",
    variant: str | None = None,
    overrides: Sequence[str] = (),
) -> Recipe:
    """The recipe in `table`, changed as in `load_recipe`, checked; `where` is named in errors."""
    plain = {key: value for key, value in table.items() if key not in NOT_SETTINGS}
    changes = dict(_scaling(table.get("scale", {}), scale, where))
    if variant is not None:
        changes |= _one_variant(_variants(table, where), variant, where)
    for dotted, value in changes.items():
        plain = with_value(plain, dotted, value)
    return Recipe.from_table(with_overrides(plain, overrides), where=where)


def variants_of(source: str) -> dict[str, Mapping[str, Any]]:
    """Name -> settings it changes, for each variant in the recipe's file."""
    path = recipe_file(source)
    return _variants(read_toml(path), str(path))


def shipped_recipes() -> dict[str, Path]:
    """Name -> file of each recipe that comes with LesionFed."""
    folder = Path(str(importlib.resources.files("common") / "recipes"))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def _variants(table: Table, where: str) -> dict[str, Mapping[str, Any]]:
    variants = table.get("variants", {})
    if not isinstance(variants, dict) or not all(isinstance(v, dict) for v in variants.values()):
        raise ConfigError(
            f"{where}: [variants] holds tables, one a method, such as [variants.plain]"
        )
    return dict(variants)


def _one_variant(
    variants: Mapping[str, Mapping[str, Any]], name: str, where: str
) -> Mapping[str, Any]:
    if name not in variants:
        raise ConfigError(
            f"{where}: no variant {name!r}; want one of {', '.join(variants) or 'none: it has no'}"
            f"{'' if variants else ' [variants.*] tables'}"
        )
    return variants[name]


def _scaling(scales: Any, scale: Scale, where: str) -> Table:
    if not isinstance(scales, dict) or set(scales) - {"small"}:
        raise ConfigError(f"{where}: [scale] may hold only the table [scale.small], got {scales!r}")
    small: Table = scales.get("small", {})
    if odd := sorted(set(small) - SCALABLE):
        raise ConfigError(
            f"{where}: [scale.small] may change sizes and steps only "
            f"({', '.join(sorted(SCALABLE))}), got {', '.join(odd)}"
        )
    if scale == "full":
        return {}
    if not small:
        raise ConfigError(f"{where}: no [scale.small] table, so --scale small has no meaning")
    return small


def incompatibilities(recipe: Recipe) -> Iterator[str]:
    """A sentence for each combination of settings that cannot work, with what to change."""
    rules = (
        *(_network, _norms, _loss, _rounds, _sampling, _steps),
        *(_dates, _sharing, _region),
    )
    for rule in rules:
        yield from rule(recipe)
    yield from cascade_faults(
        recipe.network, recipe.task, recipe.standardization, recipe.inference, recipe.federation
    )
    yield from transplant_faults(
        recipe.sampling, recipe.task, recipe.preprocessing, recipe.standardization
    )
    yield from federated_faults(recipe.federation, recipe.optimizer, recipe.loss.site)


def _network(recipe: Recipe) -> Iterator[str]:
    network, shape = recipe.network, recipe.sampling.patch_shape
    if isinstance(network, CascadeSettings):
        if shape != CASCADE_PATCH:
            yield (
                f"sampling.patch_shape must be {CASCADE_PATCH} with network 'cascade', whose dense "
                f"layer has so many inputs; got {shape}"
            )
        return
    multiple = network.patch_multiple
    if any(n % multiple for n in shape):
        yield (
            f"sampling.patch_shape must be multiples of {multiple} (each halving needs an even "
            f"number) with network {network.name!r}, got {shape}"
        )


def _norms(recipe: Recipe) -> Iterator[str]:
    shape, batch_size = recipe.sampling.patch_shape, recipe.sampling.batch_size
    smallest = {
        f"network {recipe.network.name!r}": recipe.network.smallest_norm(
            shape, batch_size=batch_size
        )
    }
    if recipe.loss.lesion_wise is not None:
        smallest["loss.lesion_wise"] = recipe.loss.lesion_wise.smallest_norm(shape)
    for of, norm in smallest.items():
        if norm.n_values < LEAST_VALUES:
            yield (
                f"sampling.patch_shape {shape} leaves the {norm.norm} norm at {norm.where} of {of} "
                f"{norm}, and it needs at least {LEAST_VALUES}: mean and variance of fewer are "
                f"mostly chance. Enlarge it, or {norm.change}"
            )


def _loss(recipe: Recipe) -> Iterator[str]:
    loss = recipe.loss
    if recipe.network.answers == "centre":
        segmentation = loss.segmentation
        if isinstance(segmentation, OfPatchOrBatch) and segmentation.over == "patch":
            yield (
                f"loss.segmentation {segmentation.name!r} with over = 'patch' compares the voxels "
                f"of a patch, and network {recipe.network.name!r} answers for one voxel of it; "
                "set over to 'batch', or choose generalized-dice or bce"
            )
        if isinstance(segmentation, OfPatchOrBatch | BatchDice) and segmentation.epsilon > 1:
            yield (
                f"loss.segmentation.epsilon is in voxels a patch, and network "
                f"{recipe.network.name!r} answers for one voxel of it; want at most 1, got "
                f"{segmentation.epsilon:g}"
            )
        if loss.lesion_wise is not None:
            yield (
                f"loss.lesion_wise looks at whole lesions, and network {recipe.network.name!r} "
                "answers for one voxel of a patch; leave it out"
            )
        return
    if loss.lesion_wise is not None:
        multiple, shape = 2 ** len(loss.lesion_wise.widths), recipe.sampling.patch_shape
        if any(n % multiple for n in shape):
            yield (
                f"sampling.patch_shape must be multiples of {multiple} with the "
                f"{len(loss.lesion_wise.widths)} widths of loss.lesion_wise, each of which halves "
                f"it; got {shape}. Change it, or take fewer widths"
            )


def _rounds(recipe: Recipe) -> Iterator[str]:
    lesion_wise = recipe.loss.lesion_wise
    if lesion_wise is not None and lesion_wise.from_round > recipe.federation.rounds:
        yield (
            f"loss.lesion_wise.from_round {lesion_wise.from_round} is never reached: "
            f"federation.rounds is {recipe.federation.rounds}. Lower it, or raise federation.rounds"
        )


def _sampling(recipe: Recipe) -> Iterator[str]:
    sampling = recipe.sampling
    if (recipe.network.answers == "centre") != (sampling.name == "voxels"):
        yield (
            f"sampling.name {sampling.name!r} does not go with network {recipe.network.name!r}: "
            "'voxels' and 'cascade' belong together"
        )
    if sampling.name == "voxels" and sampling.lesion_share == 1:
        yield (
            "sampling.lesion_share must be below 1 with sampling.name 'voxels': the other patches "
            "are around voxels without lesion. Set it, such as to 0.5 for as many of both"
        )
    if sampling.name == "grid" and sampling.lesion_share != 1:
        yield (
            f"sampling.name 'grid' draws patches with a lesion voxel alone, and lesion_share is "
            f"{sampling.lesion_share:g}; set it to 1, or choose 'patches'"
        )
    allowed = (
        {"half-turn"} if sampling.name == "voxels" else set(get_args(Augmentation)) - {"half-turn"}
    )
    if odd := [name for name in sampling.augment if name not in allowed]:
        yield (
            f"sampling.augment {odd} do not go with sampling.name {sampling.name!r}; it has "
            f"{sorted(allowed)}"
        )
    if "quarter-turns" in sampling.augment and len(set(sampling.patch_shape)) == 3:
        yield (
            f"sampling.augment 'quarter-turns' turns a plane with two equal sides, and "
            f"sampling.patch_shape {sampling.patch_shape} has none"
        )
    task = recipe.task
    if "modality-dropout" in sampling.augment and (len(task.modalities) < 2 or task.dates == 2):
        yield (
            "sampling.augment 'modality-dropout' leaves out modalities after the first, of one "
            f"date; got task.modalities {task.modalities} and task.target {task.target!r}. Take it "
            "out"
        )


def _steps(recipe: Recipe) -> Iterator[str]:
    federation = recipe.federation
    if not isinstance(recipe.optimizer.steps, PatchesPerSubject):
        return
    if federation.steps_are == "whole-epoch":
        yield (
            "optimizer.steps = { patches_per_subject = ... } counts each site's own subjects, and "
            "federation.steps_are = 'whole-epoch' divides a number over the sites; set steps to a "
            "number, or leave steps_are out"
        )
    if federation.step_budget is not None:
        yield (
            "federation.step_budget gives a slow site a share of optimizer.steps, and with "
            "patches_per_subject the coordinator does not know how many these are; set steps to a "
            "number, or leave step_budget out"
        )


def _dates(recipe: Recipe) -> Iterator[str]:
    if isinstance(recipe.network, SiameseMPUNetSettings) and recipe.task.dates == 1:
        yield (
            "network 'siamese-mpu-net' compares two dates, and task.target 'lesions' has one; set "
            "task.target to 'new-lesions'"
        )
    if recipe.task.raters and isinstance(recipe.network, CascadeSettings):
        yield (
            f"task.raters {recipe.task.raters}: network 'cascade' has one output, the consensus; "
            "set task.raters to 0"
        )
    preprocessing = recipe.preprocessing
    reference = preprocessing.reference
    if reference is not None and reference not in recipe.task.modalities:
        yield (
            f"preprocessing.reference must be one of task.modalities {recipe.task.modalities}, "
            f"got {reference!r}"
        )
    if recipe.task.dates == 2 and preprocessing.steps and preprocessing.space != "halfway":
        yield (
            f"task.target 'new-lesions' compares two sessions on one grid, which "
            f"preprocessing.space {preprocessing.space!r} does not give; choose 'halfway'"
        )


def _sharing(recipe: Recipe) -> Iterator[str]:
    federation = recipe.federation
    if recipe.optimizer.state == "averaged" and federation.aggregation == "median":
        yield (
            "optimizer.state = 'averaged' needs the mean: a median could join one site's mean "
            "gradient with another's mean square. Set federation.aggregation to weighted-mean, or "
            "optimizer.state to reset or kept"
        )
    inference = recipe.inference
    if inference.smallest_from == "sites" and inference.threshold_from == "fixed":
        yield (
            "inference.smallest_from = 'sites' is chosen together with the threshold, and "
            "inference.threshold_from is 'fixed'. Set both to 'sites', or both to 'fixed'"
        )
    kept = federation.site_validation_share + federation.site_threshold_share
    if recipe.inference.threshold_from == "sites" and kept == 0:
        yield (
            "inference.threshold_from = 'sites' chooses the threshold on cases that sites keep "
            "from training, and federation.site_validation_share = 0 keeps none. Raise the "
            "share, or set inference.threshold_from to 'fixed'"
        )


def _region(recipe: Recipe) -> Iterator[str]:
    steps = recipe.preprocessing.steps
    if recipe.sampling.name == "centreline" and steps and "cord" not in steps:
        yield (
            f"sampling.name 'centreline' follows the spinal cord, and preprocessing.steps {steps} "
            "look at the brain; put 'cord' in place of 'brain', or choose 'patches'"
        )
