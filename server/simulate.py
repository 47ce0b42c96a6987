"""A whole federation on one machine: every site's side runs, without a network."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import tomli_w

from common.errors import ConfigError
from common.files import require_utf8
from common.membership.site import Role
from common.recipe.recipe import Recipe
from server.events.run_event import RunEvent
from server.execute_run import execute_run
from server.inline import InlineGrid, inline_key
from server.run.data_record import PartOfRun, RecordedPlace, places_of, write_record
from server.run.leakage import examined_places, require_masks_apart
from server.run.pooled_site import pool_sites, pooled_prefixes
from server.run.run_folder import Consortium, RunFolder
from server.run.run_state import RunState

Folders = Mapping[str, Path]

MIN_SUBJECTS = 1
"""A hospital's default is 5; here all data are on one machine, and no privacy is at stake."""


def lay_out(
    folder: RunFolder,
    recipe: Recipe,
    *,
    sites: Folders,
    controls: Folders | None = None,
    evaluating: Folders | None = None,
    validation: Folders | None = None,
    unseen: Folders | None = None,
    lesion_masks: Path | None = None,
    labels_are_local: bool = False,
    pooled_in: Path | None = None,
    known: Sequence[RecordedPlace] = (),
) -> None:
    """Creates the run folder of a simulation, with a `site.toml` for every site.

    sites        name -> BIDS folder, in the order of the site indices
    controls     sites that add to the template only
    evaluating   sites that score the finished model on their own cases, and never train
    validation   sites that choose the round; unseen sites give the verdict
    lesion_masks   a folder of masks for `loss.lesion_wise`; None: they are drawn
    labels_are_local   equal labels at two sites are two people
    pooled_in    a folder for links to every training site's files: then one training site of that
                 name is made of them all, and `recipe` should be `pooled_recipe`'s. None: each
                 site trains
    known        places read before, which need not be read again

    ConfigError where masks are given to a recipe that learns nothing from them, where a path is not
    UTF-8, and where two parts of the run share a folder, a subject or an image: see
    `server/run/leakage.py`.
    """
    folder.require_new()
    places_by_part: dict[PartOfRun, Folders] = {
        "train": sites,
        "statistics": controls or {},
        "evaluate": evaluating or {},
        "validation": validation or {},
        "unseen": unseen or {},
    }
    if lesion_masks is not None and recipe.loss.lesion_wise is None:
        raise ConfigError(
            f"--lesion-masks {lesion_masks}: recipe {recipe.name!r} has no loss.lesion_wise, which "
            "alone is learned from masks. Leave the option out, or take such a recipe."
        )
    for folders in places_by_part.values():
        for name, data in folders.items():
            require_utf8(data.resolve(), what=f"site {name}")
    roles: dict[Role, Folders] = {
        "train": sites if pooled_in is None else {pooled_in.name: pooled_in},
        "statistics": controls or {},
        "evaluate": evaluating or {},
    }
    table: dict[str, object] = {
        "run": re.sub(r"[^A-Za-z0-9_-]", "-", folder.path.resolve().name) or "run",
        "sites": [
            {"name": name, "public_key": inline_key(name), "role": role}
            | ({"pooled_from": list(sites)} if pooled_in is not None and role == "train" else {})
            for role, folders in roles.items()
            for name in folders
        ],
        "validation": _held_out(validation or {}),
        "unseen": _held_out(unseen or {}),
        "labels_are_local": labels_are_local,
    }
    if lesion_masks is not None:
        table["lesion_masks"] = lesion_masks.resolve()
    consortium = Consortium.from_table(table, where="the names given to the sites")
    places = [p for part, folders in places_by_part.items() for p in places_of(folders, part)]
    require_masks_apart(lesion_masks, places)
    record = examined_places(
        places,
        recipe=recipe,
        labels_are_local=labels_are_local,
        known=known,
    )
    folder.create(recipe, consortium)
    write_record(folder.data_record_file, record)
    if pooled_in is not None:
        pool_sites(sites, pooled_in)
    for name, data in (item for folders in roles.values() for item in folders.items()):
        site_folder = folder.path / "sites" / name
        site_folder.mkdir(parents=True)
        settings: dict[str, object] = {
            "name": name,
            "data": str(data.resolve()),
            "work": "work",
            "policy": {"min_subjects": MIN_SUBJECTS},
        }
        if data == pooled_in:
            settings["pooled_from"] = [
                {"name": origin, "prefix": prefix}
                for origin, prefix in pooled_prefixes(list(sites)).items()
            ]
        (site_folder / "site.toml").write_text(tomli_w.dumps(settings), encoding="utf-8")


def simulate(
    folder: RunFolder, *, images: bool = True, listener: Callable[[RunEvent], None] | None = None
) -> RunState:
    """The last state of the run in `folder`, executed here; resumed where it was cut off."""
    names = [site.name for site in folder.consortium().sites]
    grid = InlineGrid({name: folder.path / "sites" / name / "site.toml" for name in names})
    return execute_run(grid, folder, engine="inline", images=images, listener=listener)


def _held_out(folders: Folders) -> list[dict[str, object]]:
    return [{"name": name, "data": data.resolve()} for name, data in folders.items()]
