"""`plan.json`: what a study consists of, written before anything else and held to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field

from common.errors import ConfigError, RunFolderError
from common.files import write_whole
from common.settings import Settings, Table


class NamedSite(Settings):
    """One hospital of a study."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,54}$")]
    """At most 55 characters, so that `without-NAME` is a run's name."""
    data: Path
    """The site's BIDS folder."""


AnyPlan = TypeVar("AnyPlan", bound=Settings)


def begin_study(
    plan_file: Path,
    plan: AnyPlan,
    *,
    kind: str,
    read: Callable[[Path], AnyPlan],
    in_words: Mapping[str, str],
) -> None:
    """Writes the plan, or nothing where the same one is there; another is refused.

    kind       such as `leave-site-out study`
    in_words   part of the plan -> what an error calls it
    RunFolderError names what differs.
    """
    folder = plan_file.parent
    if plan_file.exists():
        _require_the_same(plan, read(plan_file), folder=folder, in_words=in_words)
        return
    visible = (path for path in folder.glob("*") if path.name[0] != ".")  # a cut leaves a dot
    if any(visible):
        raise RunFolderError(f"{folder} is not empty and holds no {kind}. Choose another --out.")
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(plan_file, as_json(plan))


def as_json(plan: Settings) -> bytes:
    """What `plan.json` holds."""
    return json.dumps(plan.model_dump(mode="json"), indent=1).encode() + b"\n"


def read_plan_file(
    path: Path, kind: type[AnyPlan], *, study: str, command: str
) -> tuple[AnyPlan, Table]:
    """The plan in `path`, and the table it was read from; RunFolderError where it is no plan.

    study     what it is the plan of, such as `leave-site-out study`
    command   what makes one, such as `lesionfed leave-site-out`
    """
    try:
        table = _table(path)
        return kind.from_table(table, where=str(path)), table
    except FileNotFoundError:
        raise RunFolderError(
            f"{path}: no such file, so {path.parent} is no {study}. Give the folder "
            f"that `{command} --out` named."
        ) from None
    except (OSError, ValueError, ConfigError) as error:
        raise RunFolderError(f"{path} cannot be read as a plan. {error}") from None


def require_recipe_as_written(path: Path, recipe: object, sha256: str) -> None:
    """Nothing, or RunFolderError where the plan's recipe is not the one its digest names.

    recipe   as it stands in the file: a later version knows more settings of it
    """
    written = json.dumps(recipe, sort_keys=True, separators=(",", ":"))
    if hashlib.sha256(written.encode()).hexdigest() != sha256:
        raise RunFolderError(
            f"{path}: its recipe is not the one that the study began with (recipe_sha256). Put it "
            "back as it was, or start a new study with another --out."
        )


def _table(path: Path) -> Table:
    table: Any = json.loads(path.read_bytes())
    if not isinstance(table, dict):
        raise ValueError(f"want a table, got {type(table).__name__}")
    return table


def _require_the_same(
    plan: Settings, begun: Settings, *, folder: Path, in_words: Mapping[str, str]
) -> None:
    differ = [what for key, what in in_words.items() if getattr(plan, key) != getattr(begun, key)]
    if differ:
        raise RunFolderError(
            f"{folder}: the study in it began with another plan ({', '.join(differ)} "
            "differ), and its networks would not be comparable. Choose another --out, or go "
            "on with the study as it began: --resume takes none of the other settings."
        )
