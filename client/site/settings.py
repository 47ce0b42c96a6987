"""One hospital as its own disk describes it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from client.site.limits import Limits
from common.errors import ConfigError, PolicyRefused
from common.settings import Settings, read_toml


def _without_nul(path: Path) -> Path:
    if "\0" in str(path):
        raise ValueError(f"want a path without a NUL, got {str(path)[:80]!r}")
    return path


SystemPath = Annotated[Path, AfterValidator(_without_nul)]


class Policy(Settings):
    """What may leave this hospital; set by the hospital, never by the coordinator."""

    min_subjects: Annotated[int, Field(ge=1)] = 5
    """Fewest subjects whose landmarks, or scores by threshold, may leave, summed."""
    sums_count: Literal["site", "federation"] = "site"
    """Whose subjects have to be so many for scores of kept cases to leave, summed. site: this
    site's own. federation: those of all sites that have too few; fewer of this site's own then
    leave, and the coordinator is asked to use none of it where they come to fewer than that. It
    receives these sums before it adds them up."""
    feature_noise: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Noise on the mean and the deviation of each latent feature before they leave, in standard
    deviations of that feature; only site losses that compare the sites' features send them."""
    share_digests: bool = False
    """Whether digests of the subjects' labels and images, salted for each run, may leave. They tell
    the coordinator that two hospitals have one scan. With the salt he can also test whether a scan
    or a label that he has already is among them, and labels are short enough to try them all."""
    recipes: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")], ...] = ()
    """Digests (SHA-256) of the recipes that the hospital has approved, as `lesionfed recipes`
    prints them; empty: any recipe."""

    def allows(self, n_subjects: int) -> bool:
        """Whether sums over so many subjects may leave; a sum over no subject may."""
        return n_subjects == 0 or n_subjects >= self.min_subjects

    def require_approved(self, digest: str) -> None:
        """Nothing, or PolicyRefused where the hospital has approved recipes and not this one."""
        if self.recipes and digest not in self.recipes:
            raise PolicyRefused(
                f"the recipe that came has the digest {digest}, and the policy of this site "
                f"approves {', '.join(f'{known[:12]}...' for known in self.recipes)} (recipes). "
                "Read the recipe, and add its digest if the hospital agrees.",
                code="recipe-not-approved",
            )

    def require_enough_subjects(self, n_subjects: int) -> None:
        """Nothing, or PolicyRefused where sums over so few subjects may not leave; 0 may."""
        if not self.allows(n_subjects):
            raise PolicyRefused(
                f"sums would leave that come from {n_subjects} subjects, and the policy of this "
                f"site wants at least {self.min_subjects} (min_subjects). "
                "Add subjects, or change the policy if the hospital agrees.",
                code="too-few-subjects",
            )


class Origin(Settings):
    """One of the hospitals whose subjects lie in the folder of a pooled site."""

    name: Annotated[str, Field(min_length=1)]
    prefix: Annotated[str, Field(pattern=r"^sub-[A-Za-z0-9]+$")]
    """How the labels of its subjects begin; no other hospital's do."""


class Site(Settings):
    """What `site.toml` says."""

    name: Annotated[str, Field(min_length=1)]
    data: SystemPath
    """The site's BIDS folder; read only."""
    work: SystemPath
    """Where the site keeps what it computes; nothing in it leaves."""
    policy: Policy = Policy()
    limits: Limits = Limits()
    """How much of this machine a recipe may ask for."""
    brain_command: tuple[str, ...] = ()
    """A program of the site's own that finds the brain, with its arguments; {input} and {output}
    stand for two NIfTI files, such as ["mri_synthstrip", "-i", "{input}", "-m", "{output}"].
    Empty: the brain is found by LesionFed. Used by `lesionfed-site prepare` alone."""

    pooled_from: tuple[Origin, ...] = ()
    """The hospitals whose subjects lie in `data`, in the order of their site indices. Written by
    `lesionfed simulate --pooled`; a hospital has nothing to write here."""

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
