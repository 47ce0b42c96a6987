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


def _data_of(site_file: Path) -> Path | None:
    """The site's folder; None where the site is elsewhere, as in every run but a simulation."""
    try:
        return (site_file.parent / str(read_toml(site_file)["data"])).resolve()
    except (ConfigError, KeyError):
        return None
