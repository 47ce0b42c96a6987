"""A whole site ready for the network, kept on its disk between messages.

A SuperNode starts a new process for every message: what is not on disk is computed again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.code_digest import code_digest
from common.errors import SiteDataError, printable
from common.files import naming
from common.imaging.dataset.drawn_reference import drawn_reference_file
from common.imaging.dataset.mapped_array import mapped_array
from common.imaging.dataset.prepared import PreparedCase, prepare_case, read_case
from common.imaging.intake.bids_names import files_below
from common.imaging.intake.findings import Finding, Level, as_text
from common.imaging.intake.intake import examine
from common.imaging.intake.usable_case import UsableCase
from common.imaging.standardization.template import Template
from common.recipe.recipe import Recipe

log = logging.getLogger(__name__)

KEPT_COPIES = 2
"""Of a site's data, each some 70 MB a subject: two runs may take turns with recipes that differ."""
ABANDONED_S = 86_400.0
"""After which a copy that is half-written is nobody's: preparing 1,000 subjects takes hours."""


@dataclass(frozen=True, slots=True)
class PreparedSite:
    """The usable cases of one site, prepared, and everything intake and preparation found."""

    cases: tuple[PreparedCase, ...]
    findings: tuple[Finding, ...]
    quarantined: tuple[str, ...]


def prepared_site(
    root: Path,
    *,
    recipe: Recipe,
    template: Template,
    store: Path,
    on_case: Callable[[str], None] | None = None,
) -> PreparedSite:
    """The site under `root`, from `store` where nothing has changed, else prepared again.

    store      a folder of the site's own; arrays in it are mapped, not read whole
    on_case    called with each case's name as it is prepared
    The key is made of our code, the recipe's task and standardization, the template, and name,
    size and time of change of every file under `root`. A part-written entry is never seen: it is
    renamed into place when whole. Of the entries the two used last are kept. SiteDataError when no
    case is usable.
    """
    folder = store / _key(root, recipe, template)
    if not folder.is_dir():
        partial = store / f".{folder.name}.{secrets.token_hex(4)}.partial"
        try:
            _prepare_into(partial, root, recipe, template, on_case)
            _move_into_place(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    os.utime(folder)
    prepared = _read(folder, root)
    _prune(store, folder)
    return prepared


def _key(root: Path, recipe: Recipe, template: Template) -> str:
    facts = {
        "code": code_digest(),
        "task": recipe.task.model_dump(mode="json"),
        "standardization": recipe.standardization.model_dump(mode="json"),
        "template": template,
        "files": list(listing(root)),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def listing(root: Path) -> Iterator[list[Any]]:
    """Name, size and time of change of every file that intake may read; links are followed."""
    paths, _ = files_below(root)
    for path in paths:
        stat = path.stat() if path.exists() else path.lstat()  # a link may point nowhere
        yield [printable(path.relative_to(root).as_posix()), stat.st_size, stat.st_mtime_ns]


def _prepare_into(
    folder: Path,
    root: Path,
    recipe: Recipe,
    template: Template,
    on_case: Callable[[str], None] | None,
) -> None:
    folder.mkdir(parents=True)
    intake = examine(root, task=recipe.task)
    findings = list(intake.findings)
    quarantined = list(intake.quarantined)
    entries: list[dict[str, Any]] = []
    for usable in intake.usable:
        if on_case is not None:
            on_case(usable.name)
        try:
            case, left_out = _prepare(usable, recipe, template)
        except SiteDataError as error:
            findings.append(
                _finding(usable, "blocking", "standardization", str(error), "Look at the image.")
            )
            quarantined.append(usable.name)
            continue
        for reason in left_out:
            fix = "Look at the image: the z-score alone was used for it."
            findings.append(_finding(usable, "warning", "standardization-left-out", reason, fix))
        entry = _write_case(case, folder / f"{len(entries):05d}")
        entries.append(entry | {"drawn_reference": _drawn_reference(usable, root)})
    if not entries:
        raise SiteDataError(
            f"{root}: no case is left after standardization. What was found:\n{as_text(findings)}"
        )
    index = {
        "cases": entries,
        "findings": [dataclasses.asdict(finding) for finding in findings],
        "quarantined": quarantined,
    }
    (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")


def _prepare(
    usable: UsableCase, recipe: Recipe, template: Template
) -> tuple[PreparedCase, list[str]]:
    return prepare_case(
        read_case(usable),
        subject=usable.subject,
        session=usable.session,
        control=usable.control,
        task=recipe.task,
        settings=recipe.standardization,
        template=template,
    )


def _drawn_reference(usable: UsableCase, root: Path) -> list[str] | None:
    """The references on the scanner's and on the prepared grid, as paths below `root`."""
    prepared = usable.lesion_mask
    drawn = None if prepared is None else drawn_reference_file(prepared)
    if prepared is None or drawn is None:
        return None
    return [path.relative_to(root).as_posix() for path in (drawn, prepared)]


def _finding(usable: UsableCase, level: Level, code: str, text: str, fix: str) -> Finding:
    return Finding(
        level=level,
        code=code,
        subject=usable.subject,
        session=usable.session,
        text=text,
        fix=fix,
    )


def _write_case(case: PreparedCase, folder: Path) -> dict[str, Any]:
    """Writes the arrays a file each and returns the rest, which is JSON."""
    folder.mkdir()
    arrays = {"image": case.image, "brain": case.brain}
    arrays |= {} if case.lesions is None else {"lesions": case.lesions}
    arrays |= {} if case.raters is None else {"raters": case.raters}
    for name, array in arrays.items():
        file = folder / f"{name}.npy"
        with naming(file):
            np.save(file, array)
    return {
        "folder": folder.name,
        "subject": case.subject,
        "session": case.session,
        "control": case.control,
        "crop_start": case.crop_start,
        "grid_shape": case.grid_shape,
        "affine": case.affine.tolist(),
        "stored_as": case.stored_as,
        "stripped": case.stripped,
        "missing": case.missing,
    }


def _move_into_place(partial: Path, folder: Path) -> None:
    try:
        partial.rename(folder)
    except OSError:
        if not folder.is_dir():  # another process prepared the same site first: its entry is equal
            raise


def _read(folder: Path, root: Path) -> PreparedSite:
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    return PreparedSite(
        cases=tuple(
            _read_case(folder / entry.pop("folder"), entry, root) for entry in index["cases"]
        ),
        findings=tuple(Finding(**finding) for finding in index["findings"]),
        quarantined=tuple(index["quarantined"]),
    )


def _read_case(folder: Path, entry: dict[str, Any], root: Path) -> PreparedCase:
    lesions, raters = folder / "lesions.npy", folder / "raters.npy"
    drawn = entry["drawn_reference"]
    return PreparedCase(
        subject=entry["subject"],
        session=entry["session"],
        control=entry["control"],
        image=mapped_array(folder / "image.npy"),
        brain=mapped_array(folder / "brain.npy"),
        lesions=mapped_array(lesions) if lesions.exists() else None,
        raters=mapped_array(raters) if raters.exists() else None,
        crop_start=tuple(entry["crop_start"]),
        grid_shape=tuple(entry["grid_shape"]),
        affine=np.array(entry["affine"]),
        stored_as=entry["stored_as"],
        stripped=entry["stripped"],
        missing=tuple(entry["missing"]),
        drawn_reference=None if drawn is None else (root / drawn[0], root / drawn[1]),
    )


def _prune(store: Path, used: Path) -> None:
    """Removes all but the copies used last, and what a killed process has left half-written.

    A copy that another process reads meanwhile stays readable for it: it is mapped.
    """
    entries = [(path.stat().st_mtime, path) for path in store.iterdir() if path.is_dir()]
    copies = sorted((at, path) for at, path in entries if not path.name.startswith("."))
    old = [path for _, path in copies[:-KEPT_COPIES] if path != used]
    old += [
        path
        for at, path in entries
        if path.name.endswith(".partial") and at < time.time() - ABANDONED_S
    ]
    for path in old:
        shutil.rmtree(path, ignore_errors=True)
    if old:
        log.warning(
            "%s: %d older prepared copies of the data are removed; the last %d are kept. Where no "
            "run goes on, the whole folder may be deleted: it is made again.",
            *(store, len(old), KEPT_COPIES),
        )
