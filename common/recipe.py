"""One experiment as data: read from TOML, checked, and named by the SHA-256 of its content."""

from __future__ import annotations

import importlib.resources
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from common.errors import ConfigError
from common.settings import Settings, Table, read_toml, with_overrides, with_value

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Shape = tuple[Positive, Positive, Positive]
Scale = Literal["full", "small"]

SCALABLE = frozenset(
    {
        "federation.rounds",
        "federation.evaluate_every",
        "inference.overlap",
        "network.first_stride",
        "network.widths",
        "optimizer.steps",
        "sampling.batch_size",
        "sampling.patch_shape",
    }
)
"""What a `[scale.small]` table may change: sizes and steps, never the method."""


class Task(Settings):
    """What is segmented, and in which images."""

    modalities: tuple[str, ...] = Field(min_length=1)
    """BIDS suffixes, in channel order, such as ("FLAIR", "T1w")."""

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(set(self.modalities)) != len(self.modalities):
            raise ValueError(f"each modality once, got {self.modalities}")
        return self


class Standardization(Settings):
    """How intensities of different scanners become comparable (Galassi 2019)."""

    method: Literal["two-step", "z-score", "none"]
    """two-step: k-means to the consortium's template, then z-score."""
    map: Literal["piecewise", "line"] = "piecewise"
    """How the three class centres are carried to the template's; `line` is the literal reading."""
    template_from: Literal["all", "controls", "fixed"] = "all"
    """Whose centres make the template: everyone, healthy participants, or `template` below."""
    template: dict[str, tuple[float, float, float]] = Field(default_factory=dict)
    """The fixed template: three relative class centres a modality, rising."""

    @property
    def learns_template(self) -> bool:
        """Whether the sites are asked for their sums towards a template."""
        return self.method == "two-step" and self.template_from != "fixed"


class Network(Settings):
    """The segmentation network."""

    name: Literal["unet"]
    widths: tuple[Positive, ...] = Field(min_length=5, max_length=5)
    """Features at the five resolutions; the last is the bottleneck."""
    first_stride: Literal[1, 2] = 1
    """2 halves the resolution before the first stage and restores it after the last."""
    norm: Literal["instance", "group", "batch"] = "instance"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class SiteLoss(Settings):
    """The domain regularization on the site's index (Aslani 2020)."""

    name: Literal["none", "pearson", "uniform", "random"]
    weight: Annotated[float, Field(ge=0)]
    """Lambda in L = L_seg + lambda L_reg."""


class Loss(Settings):
    """What training minimizes."""

    segmentation: Literal["dice"]
    site: SiteLoss


class Sampling(Settings):
    """Which pieces of an image one training step sees."""

    patch_shape: Shape
    """Voxels along (i, j, k); each a multiple of 16 times `network.first_stride`."""
    batch_size: Positive
    mirror: bool = False
    """Flip each patch left-right (the first array axis) with probability one half."""


class Optimizer(Settings):
    """How a site descends in one round; its state starts afresh each round."""

    name: Literal["adam"]
    learning_rate: Annotated[float, Field(gt=0)]
    """In the first round."""
    decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Factor on the learning rate from one round to the next."""
    steps: Positive
    """Optimizer steps a site takes in one round."""

    def learning_rate_in(self, round_index: int) -> float:
        """The learning rate of a round, counted from 1."""
        return self.learning_rate * self.decay ** (round_index - 1)


class Federation(Settings):
    """How sites and coordinator work together."""

    rounds: Positive
    weighting: Literal["equal", "cases", "lesion-volume"] = "cases"
    """How much a site counts in the mean."""
    quorum: Positive | None = None
    """Sites whose replies a round needs; unset: all of two or three sites, else two thirds."""
    wait_for_sites_s: Annotated[float, Field(gt=0)] = 120.0
    round_deadline_s: Annotated[float, Field(gt=0)] = 7200.0
    evaluate_every: Positive = 1
    """Central evaluation after every so many rounds, and always at round 0 and at the end."""
    site_validation_share: Annotated[float, Field(ge=0, le=0.5)] = 0.2
    """Share of a site's cases it keeps from training and scores each round; rounded down."""


class Inference(Settings):
    """How a whole image is segmented."""

    overlap: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of a patch that its neighbour covers as well."""
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """A voxel is lesion where its probability is above this; with `sites`, until one is chosen."""
    threshold_from: Literal["fixed", "sites"] = "fixed"
    """sites: after training each site sends, for 0.05 to 0.95, sums over the cases it keeps from
    training, and the threshold with the best mean goes into the model file."""
    threshold_by: Literal["dice", "lesion_f1"] = "dice"
    """Which mean over cases is the best one."""


class Evaluation(Settings):
    """How a segmentation is judged."""

    preset: Literal["msseg2016", "msseg2", "isbi2015", "kamraoui", "hussein"] = "msseg2016"
    """What a lesion is and when it counts as found: common/metrics/presets.py."""


class Compute(Settings):
    """What a result may depend on beside the seed."""

    threads: Positive = 2
    """CPU threads, equal in every engine: another count gives other last digits."""
    device: Literal["cpu", "cuda"] = "cpu"


class Recipe(Settings):
    """The whole experiment."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    description: str
    seed: Annotated[int, Field(ge=0)] = 0
    task: Task
    standardization: Standardization
    network: Network
    loss: Loss
    sampling: Sampling
    optimizer: Optimizer
    federation: Federation
    inference: Inference = Inference()
    evaluation: Evaluation = Evaluation()
    compute: Compute = Compute()

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        multiple = 16 * self.network.first_stride
        if any(n % multiple for n in self.sampling.patch_shape):
            raise ValueError(
                f"sampling.patch_shape must be multiples of {multiple} (four halvings after a "
                f"first stride of {self.network.first_stride}), got {self.sampling.patch_shape}"
            )
        if self.network.norm == "instance" and all(
            n == multiple for n in self.sampling.patch_shape
        ):
            raise ValueError(
                f"sampling.patch_shape {self.sampling.patch_shape} leaves one voxel at the "
                "bottleneck, and instance norm over one voxel is constant; enlarge it, or set "
                "network.norm to group"
            )
        if self.inference.threshold_from == "sites" and self.federation.site_validation_share == 0:
            raise ValueError(
                "inference.threshold_from = 'sites' chooses the threshold on cases that sites keep "
                "from training, and federation.site_validation_share = 0 keeps none. Raise the "
                "share, or set inference.threshold_from to 'fixed'"
            )
        self._check_template()
        return self

    def _check_template(self) -> None:
        settings = self.standardization
        fixed = settings.method == "two-step" and settings.template_from == "fixed"
        wanted = sorted(self.task.modalities) if fixed else []
        if wanted != sorted(settings.template):
            raise ValueError(
                f"standardization.template must name {wanted} with method {settings.method!r} and "
                f"template_from {settings.template_from!r}, got {sorted(settings.template)}"
            )
        for modality, centres in settings.template.items():
            if not centres[0] < centres[1] < centres[2]:
                raise ValueError(
                    f"standardization.template.{modality} must rise from class to class, "
                    f"got {centres}"
                )


def load_recipe(source: str, *, scale: Scale = "full", overrides: Sequence[str] = ()) -> Recipe:
    """The recipe named or filed as `source`, scaled and overridden, checked.

    source      the name of a recipe that comes with LesionFed, or the path of a TOML file
    scale       "small" applies the file's `[scale.small]` table, which may change sizes and steps
    overrides   `a.b=c` texts, applied last
    """
    path = Path(source)
    shipped = shipped_recipes()
    if source in shipped:
        path = shipped[source]
    elif path.suffix != ".toml":
        raise ConfigError(
            f"no recipe named {source!r}: want one of {', '.join(sorted(shipped))}, "
            "or the path of a .toml file"
        )
    table = read_toml(path)
    return recipe_from_table(table, where=str(path), scale=scale, overrides=overrides)


def recipe_from_table(
    table: Table, *, where: str, scale: Scale = "full", overrides: Sequence[str] = ()
) -> Recipe:
    """The recipe in `table`, scaled and overridden, checked; `where` is named in errors."""
    plain = {key: value for key, value in table.items() if key != "scale"}
    for dotted, value in _scaling(table.get("scale", {}), scale, where).items():
        plain = with_value(plain, dotted, value)
    return Recipe.from_table(with_overrides(plain, overrides), where=where)


def shipped_recipes() -> dict[str, Path]:
    """Name -> file of each recipe that comes with LesionFed."""
    folder = Path(str(importlib.resources.files("common") / "recipes"))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


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
