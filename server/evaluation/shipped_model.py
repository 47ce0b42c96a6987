"""The model that comes with LesionFed, and what a model needs before it can be shipped."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from common.errors import ConfigError, ModelFileError
from common.files import write_whole
from common.model_file import RESEARCH_USE, Model

FOLDER = Path(__file__).parent / "shipped"
"""Holds the model, its card as Markdown, and the SHA-256 of the model."""
FILE = "lesions.safetensors"
_INSTEAD = "Install LesionFed again, or name a model with --model FILE."

SECTIONS = (
    "Trained on",
    "Masks left out",
    "Command",
    "Figures",
    "Limits",
    "Licence",
    "Attribution",
)
"""What a card says, each under a `## ` heading of this name."""


def shipped_model() -> Path:
    """The file of the model that comes with LesionFed, which is as it was packed.

    ConfigError where this installation has none; ModelFileError where the file is another one than
    the digest beside it names.
    """
    path = FOLDER / FILE
    if not path.is_file():
        raise ConfigError(
            f"this installation of LesionFed has no model of its own (want {path}). Name one with "
            "--model FILE, such as the model.safetensors of a run."
        )
    said, found = _said_digest(path), sha256_of(path)
    if said != found:
        raise ModelFileError(
            f"{path}: want the SHA-256 {said}, as {digest_file(path).name} beside it says, found "
            f"{found}. The file was changed or cut off. {_INSTEAD}"
        )
    return path


def digest_file(model: Path) -> Path:
    """The file beside a packed model that names its SHA-256, as `sha256sum --check` reads it."""
    return model.with_suffix(".sha256")


def write_digest(model: Path) -> str:
    """The SHA-256 of a packed model, written beside it."""
    digest = sha256_of(model)
    write_whole(digest_file(model), f"{digest}  {model.name}\n".encode())
    return digest


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_card(card: str, model: Model, *, where: Path) -> None:
    """Nothing, or ConfigError with all that a card of this model lacks.

    where   its file, named in the error
    """
    bodies = sections_of(card)
    lacks = [f"a section '## {name}' with text" for name in SECTIONS if not bodies.get(name)]
    if RESEARCH_USE not in card:
        lacks.append(f"the sentence {RESEARCH_USE!r}")
    if model.recipe.sha256() not in card:
        lacks.append(f"the SHA-256 of the model's recipe, {model.recipe.sha256()}")
    if not re.search(r"\bcommit [0-9a-f]{7,40}\b", bodies.get("Command", "")):
        lacks.append("the commit that trained it, as 'commit 0a1b2c3', under '## Command'")
    if lacks:
        raise ConfigError("\n".join([f"{where}: the model card lacks", *(f"  {f}" for f in lacks)]))


def sections_of(card: str) -> dict[str, str]:
    """Heading -> text below it, for the `## ` headings of a card."""
    _, *parts = re.split(r"(?m)^## +(.+?) *$", card)
    return {name: text.strip() for name, text in zip(parts[::2], parts[1::2], strict=True)}


def _said_digest(model: Path) -> str:
    file = digest_file(model)
    try:
        words = file.read_text("ascii", errors="replace").split()
    except OSError as error:
        raise ModelFileError(
            f"{file}: want the SHA-256 of {model.name}, found none: {error.strerror}. {_INSTEAD}"
        ) from None
    if not words or not re.fullmatch(r"[0-9a-f]{64}", words[0]):
        raise ModelFileError(
            f"{file}: want the SHA-256 of {model.name}, found none (64 digits 0 to f). {_INSTEAD}"
        )
    return words[0]
