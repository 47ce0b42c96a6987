"""One experiment as data: read from TOML, checked, and named by the SHA-256 of its content."""

from __future__ import annotations

import importlib.resources
from collections.abc import Sequence
from itertools import pairwise
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


Step = Literal["denoise", "register", "brain", "cord", "bias-field", "resample", "crop"]


class Preprocessing(Settings):
    """From the scanner's images to one grid: what `lesionfed-site prepare` does.

    Without steps the site's folder is taken as it is. Training always does: it reads a folder that
    was prepared before, here or elsewhere.
    """

    steps: tuple[Step, ...] = ()
    """In the order in which they run. denoise: non-local means, as strong as the noise measured.
    register: every modality rigidly to `reference`. brain: the site's own mask, else a stripped
    image's, else one from an outside tool, else from the template; what is outside becomes 0.
    cord, in place of brain: the surroundings of the spinal cord's centreline, which the site gives
    as a table, else as a mask of the cord; the other steps take this region for the brain.
    bias-field: N4 inside the brain. resample: every image once, linearly, onto the grid of `space`;
    masks to the nearest voxel. crop: to the brain."""
    space: Literal["own", "mni152", "halfway"] = "own"
    """Where the common grid lies. own: at the reference's place, axes along the patient's;
    mni152: rigidly at the MNI152 template, on its own grid; halfway: between a subject's two
    sessions, one grid for both."""
    spacing_mm: Annotated[float, Field(ge=0.3, le=5)] = 1.0
    """Edge of the common grid's cubic voxels, mm."""
    crop_margin_mm: Annotated[float, Field(ge=0, le=50)] = 5.0
    """What `crop` leaves around the brain, mm."""
    cord_radius_mm: Annotated[float, Field(gt=0, le=100)] = 15.0
    """How far from the centreline `cord` looks, mm (chosen; a cord is less than 15 mm wide)."""
    reference: str | None = None
    """The modality that stays where it is while the others are registered. Unset: FLAIR for
    `halfway`, else T1w; the first of the task's where it has no such image."""

    @model_validator(mode="after")
    def _steps_can_work(self) -> Self:
        steps = self.steps
        if not steps:
            return self
        if twice := sorted({step for step in steps if steps.count(step) > 1}):
            raise ValueError(f"each step once, got {', '.join(twice)} more often in {steps}")
        if not {"brain", "cord"} & set(steps):
            raise ValueError(
                f"steps {steps} lack 'brain': standardization and training look inside the brain "
                "alone, or near the spinal cord with 'cord' in its place"
            )
        if {"brain", "cord"} <= set(steps):
            raise ValueError(
                f"steps {steps} have both 'brain' and 'cord': each says where to look; keep one"
            )
        if "resample" not in steps:
            raise ValueError(
                f"steps {steps} lack 'resample': until then each image stays on the grid it was "
                "acquired on"
            )
        for first, later, reason in _ORDER:
            if {first, later} <= set(steps) and steps.index(first) > steps.index(later):
                raise ValueError(f"steps {steps} have {later!r} before {first!r}: {reason}")
        if self.space == "mni152" and "cord" in steps:
            raise ValueError(
                "space 'mni152' is a brain's template, and the steps look at the cord; choose "
                "space 'own' or 'halfway'"
            )
        if self.space == "mni152" and self.spacing_mm != 1.0:
            raise ValueError(
                f"space 'mni152' is a grid of 1 mm, got spacing_mm {self.spacing_mm:g}; "
                "choose space 'own' for another spacing"
            )
        return self

    def reference_of(self, modalities: Sequence[str]) -> str:
        """The modality that the others are registered to, of those given."""
        wanted = self.reference or ("FLAIR" if self.space == "halfway" else "T1w")
        return wanted if wanted in modalities else modalities[0]


_ORDER: tuple[tuple[Step, Step, str], ...] = (
    ("brain", "bias-field", "the bias field is estimated inside the brain"),
    ("cord", "bias-field", "the bias field is estimated near the cord"),
    ("denoise", "resample", "interpolation leaves noise that is no longer the scanner's"),
    ("register", "resample", "each image is interpolated once, with all its moves"),
    ("brain", "resample", "the brain is found on the scanner's own intensities"),
    ("cord", "resample", "the centreline lies in the scanner's world"),
    ("bias-field", "resample", "the bias field belongs to the scanner's grid"),
    ("resample", "crop", "the crop is a box of the common grid"),
)
"""First step, later step, and why it cannot be the other way round."""


class Standardization(Settings):
    """How intensities of different scanners become comparable."""

    method: Literal["two-step", "nyul", "z-score", "none"]
    """two-step: k-means to the consortium's template, then z-score (Galassi 2019); nyul: 13
    percentiles to the consortium's standard, then z-score (Fenneteau 2021)."""
    map: Literal["piecewise", "smooth", "line"] = "piecewise"
    """two-step: how the three class centres are carried to the template's. piecewise: straight
    from centre to centre; smooth: along a parabola; line: the literal reading of the paper."""
    template_from: Literal["all", "controls", "fixed"] = "all"
    """Whose images make the template: everyone's, healthy participants', or `template` below."""
    template: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    """The fixed template: for each modality 3 relative class centres (two-step) or 13 landmarks
    (nyul), rising."""

    @property
    def n_landmarks(self) -> int:
        """Numbers a modality has in the template; 0 where the method needs none."""
        return {"two-step": 3, "nyul": 13}.get(self.method, 0)

    @property
    def learns_template(self) -> bool:
        """Whether the sites are asked for their sums towards a template."""
        return self.n_landmarks > 0 and self.template_from != "fixed"


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
        reference = self.preprocessing.reference
        if reference is not None and reference not in self.task.modalities:
            raise ValueError(
                f"preprocessing.reference must be one of task.modalities {self.task.modalities}, "
                f"got {reference!r}"
            )
        self._check_template()
        return self

    def _check_template(self) -> None:
        settings = self.standardization
        fixed = settings.n_landmarks > 0 and settings.template_from == "fixed"
        wanted = sorted(self.task.modalities) if fixed else []
        if wanted != sorted(settings.template):
            raise ValueError(
                f"standardization.template must name {wanted} with method {settings.method!r} and "
                f"template_from {settings.template_from!r}, got {sorted(settings.template)}"
            )
        for modality, landmarks in settings.template.items():
            if len(landmarks) != settings.n_landmarks:
                raise ValueError(
                    f"standardization.template.{modality} must have {settings.n_landmarks} numbers "
                    f"with method {settings.method!r}, got {len(landmarks)}"
                )
            if any(low >= high for low, high in pairwise(landmarks)):
                raise ValueError(
                    f"standardization.template.{modality} must rise from landmark to landmark, "
                    f"got {landmarks}"
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
