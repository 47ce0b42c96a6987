"""Which role a site had in the run that a model file comes from, by the run's folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from common.errors import ConfigError
from common.settings import read_toml
from server.run.run_folder import RunFolder

RoleInRun = Literal["train", "statistics", "validation", "unseen"]


def parts_in_run(model_file: Path, sites: Mapping[str, Path]) -> dict[str, RoleInRun]:
    """Name -> the role of each of `sites` that had one in the run beside `model_file`.

    sites   name -> BIDS folder

    A site is known by its folder; a held-out one by its name as well, for those lie with the
    coordinator. Beside a copy of the model file elsewhere there is no run: no site has a role then.
    """
    folder = RunFolder(model_file.resolve().parent)
    if not folder.consortium_file.exists():
        return {}
    consortium = folder.consortium()
    known: dict[Path, RoleInRun] = {}
    for site in consortium.sites:
        data = _data_of(folder.path / "sites" / site.name / "site.toml")
        if data is not None:
            known[data] = "unseen" if site.role == "evaluate" else site.role
    named: dict[str, RoleInRun] = {}
    for part, group in (("validation", consortium.validation), ("unseen", consortium.unseen)):
        role: RoleInRun = "validation" if part == "validation" else "unseen"
        for held_out in group:
            known[held_out.data.resolve()] = role
            named[held_out.name] = role
    parts = {name: known.get(data.resolve(), named.get(name)) for name, data in sites.items()}
    return {name: part for name, part in parts.items() if part is not None}


def require_took_no_part(model_file: Path, sites: Mapping[str, Path]) -> None:
    """Nothing, or ConfigError where a site trained the run beside `model_file`, or chose in it."""
    for name, part in parts_in_run(model_file, sites).items():
        if part in ("train", "validation"):
            did = "trained this network" if part == "train" else "chose the round of this network"
            raise ConfigError(
                f"--held-out {name}={sites[name]}: this site {did}, so it cannot judge it. Name a "
                "site that took no part."
            )


def require_may_choose(model_file: Path, sites: Mapping[str, Path]) -> None:
    """Nothing, or ConfigError where a site is unseen in the run beside `model_file`, or trained."""
    for name, part in parts_in_run(model_file, sites).items():
        if part == "unseen":
            raise ConfigError(
                f"--on {name}={sites[name]}: this site judges this run. A threshold chosen on it "
                "would void the verdict: name a validation site."
            )
        if part == "train":
            raise ConfigError(
                f"--on {name}={sites[name]}: this site trained this network, whose probabilities "
                "are nearer 0 and 1 on cases it has seen: name a validation site."
            )


def _data_of(site_file: Path) -> Path | None:
    """The site's folder; None where the site is elsewhere, as in every run but a simulation."""
    try:
        return (site_file.parent / str(read_toml(site_file)["data"])).resolve()
    except (ConfigError, KeyError):
        return None
