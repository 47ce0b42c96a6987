"""One hospital as its own disk describes it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from client.site.policy import Policy
from common.errors import ConfigError
from common.settings import Settings, read_toml


class Site(Settings):
    """What `site.toml` says."""

    name: Annotated[str, Field(min_length=1)]
    data: Path
    """The site's BIDS folder; read only."""
    work: Path
    """Where the site keeps what it computes; nothing in it leaves."""
    policy: Policy = Policy()
    brain_command: tuple[str, ...] = ()
    """A program of the site's own that finds the brain, with its arguments; {input} and {output}
    stand for two NIfTI files, such as ["mri_synthstrip", "-i", "{input}", "-m", "{output}"].
    Empty: the brain is found by LesionFed. Used by `lesionfed-site prepare` alone."""

    @field_validator("brain_command")
    @classmethod
    def _names_both_files(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        missing = [name for name in ("{input}", "{output}") if name not in " ".join(command[1:])]
        if command and missing:
            raise ValueError(f"want {' and '.join(missing)} among the arguments, got {command}")
        return command


def read_site(path: Path) -> Site:
    """The site in `site.toml`; relative paths in it start at the file's folder."""
    site = Site.from_table(read_toml(path), where=str(path))
    data, work = path.parent / site.data, path.parent / site.work
    if work.resolve().is_relative_to(data.resolve()):
        raise ConfigError(
            f"{path}: work = {str(site.work)!r} lies inside data = {str(site.data)!r}. Choose a "
            "folder outside: what the site computes must not be taken for its data."
        )
    return site.model_copy(update={"data": data, "work": work})
