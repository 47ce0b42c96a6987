"""The options that several commands have, each written once: its name, its limits, its help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Annotated, Literal

import click
import typer
from click.core import ParameterSource

from common.errors import ConfigError

RecipeName = Annotated[
    str, typer.Option(help="A recipe that comes with LesionFed, or a TOML file.")
]
Rounds = Annotated[int | None, typer.Option(help="Training rounds.", min=1)]
Scale = Annotated[
    Literal["full", "small"],
    typer.Option(help="small: the recipe's own preset of sizes and steps for 2 cores."),
]
Variant = Annotated[
    str | None,
    typer.Option(help="One of the methods that the recipe's file names to compare."),
]
Seed = Annotated[int | None, typer.Option(help="Instead of the recipe's.", min=0)]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Changes one setting. Repeatable."),
]

Controls = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=PATH", help="A site that adds to the template only."),
]
ValidationSites = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=PATH", help="A site that chooses the round; never trains."),
]
HeldOutSites = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=PATH", help="An unseen site, for the verdict alone."),
]
LesionMasks = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        file_okay=False,
        help="A folder of lesion masks for the recipes whose loss is learned from masks; without "
        "it they are drawn.",
    ),
]

StudyOut = Annotated[
    Path, typer.Option(help="The study's folder; a study that is in it already is continued.")
]
ResumedStudy = Annotated[
    Path | None, typer.Option(help="A study to resume; no other setting is accepted.")
]
StudyImages = Annotated[
    bool, typer.Option(help="Whether each run's report holds pictures of its unseen cases.")
]

ModelFile = Annotated[Path, typer.Argument(help="model.safetensors of a run.")]
ShippedUnlessNamed = Annotated[
    Path | None,
    typer.Option(
        "--model", help="A model.safetensors. Without it: the model that comes with LesionFed."
    ),
]
Federation = Annotated[
    Path, typer.Option(help="The federation's folder.", file_okay=False, exists=True)
]
ProvisionedFederation = Annotated[
    Path, typer.Option(exists=True, file_okay=False, help="Folder made by provision.")
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Write over a file of that name; never over an input.")
]
LabelsAreLocal = Annotated[
    bool,
    typer.Option(
        "--labels-are-local",
        help="Equal sub- labels at two sites are two people: each hospital counts for itself. "
        "Kept with the run. The same folder and the same images stay refused.",
    ),
]
RunName = Annotated[str, typer.Argument(help="The run's name.")]
Detach = Annotated[bool, typer.Option("--detach", help="Starts the run and does not follow it.")]
Quiet = Annotated[bool, typer.Option(help="No progress.")]
ResultAsJson = Annotated[bool, typer.Option("--json", help="The result as JSON.")]

KEPT_BY_RESUME = frozenset({"resume", "images", "quiet", "as_json"})
"""Options that a resumed run or study takes: how it is shown, not what it is."""


def overrides_of(
    changes: Sequence[str] | None, *, rounds: int | None = None, seed: int | None = None
) -> list[str]:
    """The recipe's settings that the command line changes, as KEY=VALUE.

    ConfigError where one of them is given twice: neither may win silently.
    """
    overrides = list(changes or [])
    keys = [override.partition("=")[0].strip() for override in overrides]
    for option, key, value in (("--rounds", "federation.rounds", rounds), ("--seed", "seed", seed)):
        if value is not None and {key, key.partition(".")[0]} & set(keys):
            raise ConfigError(f"{option} and --set {key} say the same thing: give one of them")
    for key in keys:
        if keys.count(key) > 1:
            raise ConfigError(f"--set {key} is given twice: give it once")
    overrides += [f"federation.rounds={rounds}"] if rounds is not None else []
    overrides += [f"seed={seed}"] if seed is not None else []
    return overrides


def refuse_settings_beside_resume(allowed: Set[str] = KEPT_BY_RESUME) -> None:
    """Nothing, or ConfigError where an option was given that what is resumed would not take."""
    context = click.get_current_context()
    refused = sorted(
        option.opts[0]
        for option in context.command.params
        if option.name is not None
        and option.name not in allowed
        and context.get_parameter_source(option.name) is ParameterSource.COMMANDLINE
    )
    if refused:
        raise ConfigError(
            f"--resume continues with the settings it began with; leave out {', '.join(refused)}"
        )


def model_or_shipped(model: Path | None) -> Path:
    """The model that was named, else the one that comes with LesionFed; errors as there."""
    from server.evaluation.shipped_model import shipped_model

    return shipped_model() if model is None else model


def named_files(texts: Sequence[str], *, option: str) -> dict[str, Path]:
    """Modality -> file, in the order given; ConfigError where a text is none, or one twice."""
    files: dict[str, Path] = {}
    for text in texts:
        modality, equals, path = text.partition("=")
        if not equals or not modality or not path:
            raise ConfigError(f"{option} {text!r}: want MODALITY=FILE, such as FLAIR=flair.nii.gz")
        if modality in files:
            raise ConfigError(
                f"{option} {modality}={path}: {modality} is {files[modality]} already. Name each "
                "modality once."
            )
        files[modality] = Path(path).expanduser()
    return files


def named_folders(texts: Sequence[str], *, option: str) -> dict[str, Path]:
    """Name -> existing folder, in the order given; ConfigError says which option is wrong."""
    folders: dict[str, Path] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not equals or not name or not path:
            raise ConfigError(f"{option} {text!r}: want NAME=PATH, such as lyon=/data/lyon")
        if name in folders:
            raise ConfigError(f"{option} {text!r}: the name {name!r} is given twice")
        folder = Path(path).expanduser()
        if not folder.is_dir():
            raise ConfigError(f"{option} {text!r}: no such folder. Give the site's BIDS folder.")
        folders[name] = folder.resolve()
    return folders


def read_by(folders: Mapping[str, Mapping[str, Path]]) -> dict[str, Path]:
    """What is read, as an error names it, such as `--site lyon`, -> its folder.

    folders   option -> name -> folder
    """
    return {f"{o} {name}": path for o, named in folders.items() for name, path in named.items()}
