"""One experiment as data: read from TOML, checked, and named by the SHA-256 of its content."""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from common.errors import ConfigError
from common.recipe.federation import Federation, Optimizer
from common.recipe.incompatibilities import incompatibilities
from common.recipe.inference import Compute, Evaluation, Inference
from common.recipe.loss import LesionWise, Loss, SegmentationLoss, SiteLoss
from common.recipe.network import CascadeSettings, Network, SiameseMPUNetSettings, UNetSettings
from common.recipe.preprocessing import Preprocessing, Step
from common.recipe.sampling import Augmentation, Sampling
from common.recipe.standardization import Standardization
from common.recipe.task import Task
from common.settings import Settings, Table, read_toml, with_overrides, with_value

__all__ = [
    "SCALABLE",
    "Augmentation",
    "CascadeSettings",
    "Compute",
    "Evaluation",
    "Federation",
    "Inference",
    "LesionWise",
    "Loss",
    "Network",
    "Optimizer",
    "Preprocessing",
    "Recipe",
    "Sampling",
    "Scale",
    "SegmentationLoss",
    "SiameseMPUNetSettings",
    "SiteLoss",
    "Standardization",
    "Step",
    "Task",
    "UNetSettings",
    "load_recipe",
    "recipe_from_table",
    "shipped_recipes",
    "variants_of",
]

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
"""Tables of a recipe's file that change settings and are none."""


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

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
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
    """The recipe named or filed as `source`, scaled, varied and overridden, checked.

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
    """The recipe in `table`, scaled, varied and overridden, checked; `where` is named in errors."""
    plain = {key: value for key, value in table.items() if key not in NOT_SETTINGS}
    changes = dict(_scaling(table.get("scale", {}), scale, where))
    if variant is not None:
        changes |= _one_variant(_variants(table, where), variant, where)
    for dotted, value in changes.items():
        plain = with_value(plain, dotted, value)
    return Recipe.from_table(with_overrides(plain, overrides), where=where)


def variants_of(source: str) -> dict[str, Mapping[str, Any]]:
    """Name -> settings that differ, of each method that the recipe's file names to compare."""
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
