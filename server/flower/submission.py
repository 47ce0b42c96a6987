"""A run of a federation: its folder from settings and recipe, and its submission to Flower."""

from __future__ import annotations

import importlib.resources
import json
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import tomli_w

from common.errors import ConfigError, FlowerError, RunFolderError
from common.recipe.recipe import Recipe
from server.federation.federation_folder import FederationFolder
from server.federation.flower_connection import CONNECTION
from server.flower.flwr_command import flwr
from server.flower.serve_lock import is_served
from server.run.data_record import places_of, write_record
from server.run.leakage import examined_places, require_masks_apart
from server.run.run_folder import Consortium, EnrolledSite, HeldOutData, RunFolder


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """One time that a run was submitted to Flower.

    time            UTC, ISO 8601
    flower_run_id   Flower's own number of it
    """

    time: str
    flower_run_id: str


def bundle_folder() -> Path:
    """The app bundle that comes with LesionFed: settings only, no code."""
    return Path(str(importlib.resources.files("server") / "bundle"))


def planned_consortium(
    folder: FederationFolder, *, recipe: Recipe, name: str, labels_are_local: bool = False
) -> Consortium:
    """Who takes part in a run called `name`: all planned sites in the order of the settings.

    A site that has not enrolled yet has its place, and comes in when it does. ConfigError where
    the recipe cannot be run so, or a held-out site's data are not there.
    """
    settings = folder.settings()
    _require_enough(folder, recipe)
    keys = folder.members().active_keys()
    return Consortium(
        run=name,
        sites=tuple(
            EnrolledSite(name=site.name, role=site.role, public_key=keys.get(site.name))
            for site in settings.sites
        ),
        validation=tuple(_held_out(folder, site) for site in settings.validation),
        unseen=tuple(_held_out(folder, site) for site in settings.unseen),
        lesion_masks=_lesion_masks(folder, recipe),
        labels_are_local=labels_are_local,
        federation=settings.name,
        notify=settings.notify,
        members_file=folder.members_file.resolve(),
    )


def lay_out_run(
    folder: FederationFolder, *, recipe: Recipe, name: str, labels_are_local: bool = False
) -> RunFolder:
    """The new run folder; ConfigError where the name is taken or the recipe cannot be run.

    ConfigError too where two of the coordinator's own sites share a folder, a subject or an image.
    """
    run = folder.run(name)
    if run.path.exists() and not run.recipe_file.exists():
        raise ConfigError(
            f"{run.path}: its creation was cut off: it has no {run.recipe_file.name}, "
            "and nothing has run in it. Remove the folder, or choose another --name."
        )
    if run.path.exists():
        raise ConfigError(f"{run.path}: there is a run of this name. Choose another --name.")
    consortium = planned_consortium(
        folder, recipe=recipe, name=name, labels_are_local=labels_are_local
    )
    places = [
        *places_of({site.name: site.data for site in consortium.validation}, "validation"),
        *places_of({site.name: site.data for site in consortium.unseen}, "unseen"),
    ]
    require_masks_apart(consortium.lesion_masks, places)
    record = examined_places(places, recipe=recipe, labels_are_local=labels_are_local)
    run.create(recipe, consortium)
    write_record(run.data_record_file, record)
    return run


def require_served(folder: FederationFolder) -> None:
    """Nothing, or FlowerError where no `lesionfed serve` of this federation runs here."""
    if not is_served(folder):
        raise FlowerError(
            f"{folder.path}: this federation is not served on this machine. Start "
            f"`lesionfed serve --federation {folder.path}` and let it run, then try again."
        )


def submit(folder: FederationFolder, run: RunFolder) -> str:
    """Flower's id of the run, which begins as soon as the SuperExec takes it.

    FlowerError where the SuperLink does not take it; the same folder may be submitted again.
    """
    settings = {"run-folder": str(run.path.resolve())}
    with tempfile.TemporaryDirectory(dir=folder.flwr_home.resolve()) as scratch:
        overrides = Path(scratch) / "run-config.toml"
        overrides.write_text(tomli_w.dumps(settings), encoding="utf-8")
        bundle = str(bundle_folder())
        answer = flwr(folder, "run", bundle, CONNECTION, "--run-config", str(overrides))
    run_id = str(answer["run-id"])
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    with run.submissions_file.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"time": time, "flower_run_id": run_id}) + "\n")
    return run_id


def submissions(run: RunFolder) -> list[Submission]:
    """Every time the run was submitted to Flower, in order."""
    if not run.submissions_file.exists():
        return []
    lines = run.submissions_file.read_text(encoding="utf-8").splitlines()
    try:
        return [Submission(**json.loads(line)) for line in lines if line.strip()]
    except (ValueError, TypeError):
        raise RunFolderError(
            f"{run.submissions_file}: a line is not {{time, flower_run_id}}. Remove it."
        ) from None


def flower_status(folder: FederationFolder, flower_run_id: str) -> str:
    """Flower's own status of a run, such as running or finished:failed; "" if unknown.

    Flower forgets its runs with its database.
    """
    try:
        rows = flwr(folder, "ls", CONNECTION, "--run-id", flower_run_id).get("runs", [])
    except FlowerError:
        return ""
    return str(rows[0].get("status", "")) if rows else ""


def _require_enough(folder: FederationFolder, recipe: Recipe) -> None:
    from server.rounds.roster import quorum_of

    sites = folder.settings().sites
    n_train = sum(site.role == "train" for site in sites)
    try:
        quorum_of(n_train, recipe.federation.quorum)
    except ConfigError:
        raise ConfigError(
            f"recipe {recipe.name!r} wants the replies of federation.quorum = "
            f"{recipe.federation.quorum} training sites, and {folder.settings_file} plans "
            f"{n_train}. Plan more sites, or give --set federation.quorum={n_train}."
        ) from None


def _lesion_masks(folder: FederationFolder, recipe: Recipe) -> Path | None:
    """The settings' masks, for a recipe that learns from them; none for others."""
    masks = folder.settings().lesion_masks
    if masks is None or recipe.loss.lesion_wise is None:
        return None
    return _existing_folder(folder, masks, "lesion_masks")


def _held_out(folder: FederationFolder, site: HeldOutData) -> HeldOutData:
    return HeldOutData(
        name=site.name, data=_existing_folder(folder, site.data, f"site {site.name}")
    )


def _existing_folder(folder: FederationFolder, path: Path, what: str) -> Path:
    """The full path of a folder that the settings name, from their own folder if not full."""
    full = (folder.path / path).resolve()
    if not full.is_dir():
        raise ConfigError(
            f"{folder.settings_file}: {what}: {full} is no folder. Correct the path, or mount it."
        )
    return full
