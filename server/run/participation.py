"""What a site may still be used for, by the run that a model file comes from."""

from __future__ import annotations

from collections.abc import Mapping, Set
from pathlib import Path
from typing import Literal

from common.errors import ConfigError
from common.files import is_below
from common.settings import read_toml
from server.run.data_record import DataRecord, read_record, write_record
from server.run.leakage import require_apart
from server.run.run_folder import RunFolder

RoleInRun = Literal["train", "statistics", "validation", "unseen"]

JUDGING: Mapping[RoleInRun, str] = {
    "train": "trained this network",
    "statistics": "added to the template of this network",
    "validation": "chose the round of this network",
}
"""What a site did that cannot judge the network any more."""


def parts_in_run(model_file: Path, sites: Mapping[str, Path]) -> dict[str, RoleInRun]:
    """Name -> the role of each of `sites` that had one in the run beside `model_file`.

    sites   name -> BIDS folder

    A site is known by its folder, by whatever path, or one that lies in the other; a held-out one
    by its name as well, for those lie with the coordinator. Beside a copy of the model file
    elsewhere there is no run: no site has a role then.
    """
    folder = RunFolder(model_file.resolve().parent)
    if not folder.consortium_file.exists():
        return {}
    consortium = folder.consortium()
    known: list[tuple[Path, RoleInRun]] = []
    for site in consortium.sites:
        data = _data_of(folder.path / "sites" / site.name / "site.toml")
        if data is not None:
            known.append((data, "unseen" if site.role == "evaluate" else site.role))
    named: dict[str, RoleInRun] = {}
    for part, group in (("validation", consortium.validation), ("unseen", consortium.unseen)):
        role: RoleInRun = "validation" if part == "validation" else "unseen"
        for held_out in group:
            known.append((held_out.data, role))
            named[held_out.name] = role
    parts = {name: _role_of(data, known) or named.get(name) for name, data in sites.items()}
    return {name: part for name, part in parts.items() if part is not None}


def require_took_no_part(model_file: Path, sites: Mapping[str, Path]) -> None:
    """Nothing, or ConfigError where a site had a part in the run beside `model_file` but to judge.

    By its folder and name alone, before anything is read.
    """
    for name, part in parts_in_run(model_file, sites).items():
        if part in JUDGING:
            raise ConfigError(
                f"--held-out {name}={sites[name]}: this site {JUDGING[part]}, so it cannot judge "
                "it. Name a site that took no part."
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


def require_no_leakage(
    model_file: Path, sites: DataRecord, *, parts: Set[str], labels_are_local: bool
) -> str | None:
    """What cannot be told of these sites' subjects and images; None where all of it can be.

    parts   those of the run in which none of the subjects may have been

    ConfigError where a subject or an image of `sites` was in such a part of the run beside
    `model_file`, with both places named.
    """
    folder = RunFolder(model_file.resolve().parent)
    record = read_record(folder.data_record_file)
    if record is None:
        return (
            f"beside {model_file} lies no record of the subjects and images of its run "
            f"({folder.data_record_file.name}), so nobody can tell here whether this network has "
            "seen one of these cases. Use the model file in the folder of its run."
        )
    others = [place for place in (*record.places, *record.threshold_places) if place.part in parts]
    require_apart(sites, others, labels_are_local=labels_are_local)
    if folder.consortium().federation is not None:
        return (
            "the images that trained this network are at the hospitals of its federation, so "
            "nobody can tell here whether one of these cases is among them. Ask the hospitals."
        )
    return None


def remember_threshold_sites(model_file: Path, sites: DataRecord) -> None:
    """Adds the sites to the record of the run beside `model_file`; nothing where there is none."""
    file = RunFolder(model_file.resolve().parent).data_record_file
    record = read_record(file)
    if record is not None:
        added = (*record.threshold_places, *sites.places)
        write_record(file, record.model_copy(update={"threshold_places": added}))


def _role_of(data: Path, known: list[tuple[Path, RoleInRun]]) -> RoleInRun | None:
    """The first role of a folder that is `data`, or lies in it, or holds it."""
    roles = (role for path, role in known if is_below(data, path) or is_below(path, data))
    return next(roles, None)


def _data_of(site_file: Path) -> Path | None:
    """The site's folder; None where the site is elsewhere, as in every run but a simulation."""
    try:
        return (site_file.parent / str(read_toml(site_file)["data"])).resolve()
    except (ConfigError, KeyError):
        return None
