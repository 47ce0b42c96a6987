"""`lesionfed model`: what a model file is, and a run's model packed to be handed on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from common.cli.output_paths import require_input_files, require_output_files
from common.errors import ConfigError
from server.cli.options import ModelFile, Overwrite, ShippedUnlessNamed, model_or_shipped

model = typer.Typer(help="Shows a model file and its card, or packs a run's model to hand it on.")


@model.command()
def show(
    model: ShippedUnlessNamed = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Shows what a model reads, how it decides, where it comes from, its SHA-256 and its card."""
    from common.errors import printable
    from common.model_file import RESEARCH_USE

    facts = _facts(model_or_shipped(model))
    card = facts["card"]
    if as_json:
        print(json.dumps(facts, allow_nan=False))
        return
    for name, value in facts.items():
        if name != "card":
            text = ", ".join(value) if isinstance(value, tuple) else value
            shown = "-" if text in ("", None) else printable(str(text))
            print(f"{name.replace('_', ' '):20} {shown}")
    print(RESEARCH_USE)
    if not card:
        print("It has no card: it is a run's own model.")
        return
    # somebody else wrote the file: what steers a terminal is shown, not obeyed
    print("", *map(printable, card.strip().splitlines()), sep="\n")


@model.command()
def pack(
    model: ModelFile,
    card: Annotated[Path, typer.Option(help="The model card, Markdown.")],
    out: Annotated[Path, typer.Option(help="The file to write, .safetensors.")],
    overwrite: Overwrite = False,
) -> None:
    """Writes a model as float16 with its card inside, and its SHA-256 beside it.

    The card has the sections Trained on, Masks left out, Command (with the commit), Figures,
    Limits, Licence and Attribution, the recipe's SHA-256, and says that this is for research.
    """
    from common.model_file import read_model, write_model
    from server.evaluation.predict import trained_network
    from server.evaluation.shipped_model import digest_file, require_card, write_digest

    reads = {"MODEL": model, "--card": card}
    require_input_files(reads)
    require_output_files(
        {"--out": out, "the SHA-256 beside --out": digest_file(out)},
        reads=reads,
        overwrite=overwrite,
        endings=(".safetensors", ".sha256"),
    )
    if out.suffix != ".safetensors":
        raise ConfigError(f"--out {out}: want a file name in .safetensors")
    loaded = read_model(model)
    trained_network(loaded)  # refuses parameters of another network
    text = _text_of(card)
    require_card(text, loaded, where=card)
    write_model(loaded.with_card(text), out, half=True)
    digest = write_digest(out)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB, SHA-256 {digest}")


def _facts(path: Path) -> dict[str, Any]:
    from common.model_file import read_model
    from server.evaluation.shipped_model import sha256_of

    loaded = read_model(path)
    recipe, choice = loaded.recipe, loaded.threshold_choice
    return {
        "file": str(path),
        "sha256": sha256_of(path),
        "size_mb": round(path.stat().st_size / 1e6, 3),
        "recipe": recipe.name,
        "recipe_sha256": recipe.sha256(),
        "reads": recipe.task.channels,
        "can_do_without": recipe.task.optional_modalities,
        "target": recipe.task.target,
        "network": recipe.network.name,
        "n_parameters": sum(array.size for array in loaded.parameters.values()),
        "run": loaded.run,
        "round": loaded.round_index,
        "threshold": loaded.threshold,
        "threshold_chosen_on": "the recipe's own"
        if choice is None
        else f"{choice.n_cases} {choice.split}",
        "smallest_lesion": f"{recipe.inference.min_lesion_voxels} voxels"
        if loaded.smallest_mm3 is None
        else f"{loaded.smallest_mm3:g} mm3",
        "card": loaded.card,
    }


def _text_of(card: Path) -> str:
    try:
        return card.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"--card {card}: want text in UTF-8: {error}") from None
