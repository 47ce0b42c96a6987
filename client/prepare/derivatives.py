"""The prepared folder: a BIDS derivative in which each case is complete or absent.

OUT/dataset_description.json, participants.tsv
OUT/sub-01[/ses-01]/anat/sub-01[_ses-01]_FLAIR.nii.gz      prepared images, as intake reads them
                        sub-01[_ses-01]_desc-brain_mask.nii.gz, .._desc-lesion_mask.nii.gz
                        (new lesions: .._desc-newlesion_mask.nii.gz), the raters' own masks,
                        sub-01[_ses-01]_space-scanner_desc-lesion_mask.nii.gz: the reference as it
                        was drawn, on its own grid, see `common/imaging/dataset/drawn_reference.py`,
                        and a sidecar in JSON for each
OUT/qc/sub-01[_ses-01].html                                 for the site's own eyes
OUT/.left-out/                                              see `stale_cases.py`

A sidecar holds the key of the work that made the file and the file's digest: the folder is its own
cache, and shows whether it still is what a new preparation would make. Nothing in it depends on
the clock, the machine or the order of the work.
"""

from __future__ import annotations

import errno
import importlib.metadata
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from client.prepare.job import Job, file_digest
from common.arrays import FloatArray
from common.errors import ConfigError, SiteDataError
from common.files import write_whole
from common.imaging.dataset.drawn_reference import RECORD, SCANNER
from common.imaging.intake.usable_case import UsableCase
from common.imaging.preprocessing.chain import PreparedVolumes
from common.imaging.volume import Volume, read_mask, read_volume, write_volume

BIDS_VERSION = "1.10.0"
BRAIN = "desc-brain_mask"
LEFT_OUT = ".left-out"
"""Folder of the cases that are not in the prepared folder any more."""


def start_folder(out: Path, *, source: Path) -> None:
    """Makes the prepared folder's frame: its description and the site's participants.

    source   the site's own folder. ConfigError as `require_ours`
    """
    require_ours(out, source=source)
    with written_to(out):
        out.mkdir(parents=True, exist_ok=True)
        _write_json(
            out / "dataset_description.json",
            {
                "Name": "Images prepared for lesion segmentation",
                "BIDSVersion": BIDS_VERSION,
                "DatasetType": "derivative",
                "GeneratedBy": _generated_by(),
            },
        )
        write_whole(out / ".bidsignore", f"qc/\n{LEFT_OUT}/\n".encode())
        for name in ("participants.tsv", "participants.json"):
            if (source / name).is_file():
                write_whole(out / name, (source / name).read_bytes())


def require_ours(out: Path, *, source: Path) -> None:
    """Raise ConfigError unless `out` can be the prepared folder of the site at `source`.

    Neither may lie inside the other, and what `out` holds must be a prepared folder. Hidden files
    do not count: a first run that was killed leaves no more than one of them.
    """
    target, raw = out.resolve(), source.resolve()
    if target.is_relative_to(raw) or raw.is_relative_to(target):
        raise ConfigError(
            f"--out {out} and {source}: one lies inside the other, so that prepared images would "
            "be taken for the scanner's. Choose a folder beside the site's own."
        )
    in_use = out.is_dir() and any(path.name[0] != "." for path in out.iterdir())
    if in_use and not _is_ours(out / "dataset_description.json"):
        raise ConfigError(
            f"--out {out} holds files, and no dataset_description.json says that LesionFed wrote "
            "them. Choose a new or an empty folder."
        )


def _is_ours(description: Path) -> bool:
    try:
        found = json.loads(description.read_text(encoding="utf-8"))
        return any(tool["Name"] == RECORD for tool in found["GeneratedBy"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def case_folder(out: Path, case: UsableCase) -> Path:
    """Where the case's prepared files lie."""
    return out / case.subject / (case.session or "") / "anat"


def write_case(job: Job, case: UsableCase, prepared: PreparedVolumes) -> None:
    """Writes the case's files beside their place and renames their folder into it.

    SiteDataError where the disk is full or may not be written: nothing is left half-written.
    """
    folder = case_folder(job.out, case)
    partial = folder.with_name(f".anat.{secrets.token_hex(4)}.partial")
    with written_to(folder):
        try:
            partial.mkdir(parents=True)
            for name, volume in _volumes(case, prepared).items():
                path = partial / f"{case.name}_{name}.nii.gz"
                write_volume(volume, path)
                record = _record(job, case, prepared, name) | {"SHA256": file_digest(path)}
                if name == _drawn(case):
                    made = partial / f"{case.name}_{_mask(case.reference)}.nii.gz"
                    record |= {"PreparedSHA256": file_digest(made)}
                sidecar = _sidecar(job, case, prepared, name) | {RECORD: record}
                _write_json(partial / f"{case.name}_{name}.json", sidecar)
            _replace(folder, partial)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def remove_leftovers(job: Job) -> None:
    """Removes what a killed worker left beside the places of this job's cases."""
    for case in job.cases:
        for leftover in case_folder(job.out, case).parent.glob(".anat.*"):
            shutil.rmtree(leftover, ignore_errors=True)


def is_written(job: Job, case: UsableCase) -> bool:
    """Whether the case lies there whole, made by this very job."""
    folder, key = case_folder(job.out, case), job.key()
    for name in [*case.images, *_mask_names(case)]:
        path = folder / f"{case.name}_{name}.nii.gz"
        try:
            record = _read_sidecar(path)[RECORD]
            if record["Key"] != key or record["SHA256"] != file_digest(path):
                return False
        except (OSError, ValueError, KeyError, TypeError):
            return False
    return True


def read_prepared(job: Job, case: UsableCase) -> PreparedVolumes:
    """The case's volumes from its prepared folder, as the chain gave them."""
    folder = case_folder(job.out, case)

    def path_of(name: str) -> Path:
        return folder / f"{case.name}_{name}.nii.gz"

    def move_of(name: str) -> FloatArray:
        return np.array(_read_sidecar(path_of(name))[RECORD]["ScannerToCommon"], dtype=np.float64)

    with_reference = case.lesion_mask is not None
    return PreparedVolumes(
        images={name: read_volume(path_of(name)) for name in case.images},
        brain=read_mask(path_of(BRAIN)),
        lesions=read_mask(path_of(_mask(case.reference))) if with_reference else None,
        raters={rater: read_mask(path_of(_mask(rater))) for rater in case.rater_masks},
        moves={name: move_of(name) for name in case.images},
        notes=read_notes(job, case),
        lesions_move=move_of(_drawn(case)) if with_reference else None,
    )


def read_notes(job: Job, case: UsableCase) -> tuple[str, ...]:
    """What the chain had to say of a case that is written."""
    folder = case_folder(job.out, case)
    sidecar = _read_sidecar(folder / f"{case.name}_{BRAIN}.nii.gz")
    return tuple(sidecar[RECORD]["Notes"])


@contextmanager
def written_to(path: Path) -> Iterator[None]:
    """Turns the disk's refusals inside into a SiteDataError that names `path`."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise SiteDataError(
            f"{error.filename or path}: cannot be written: {error.strerror or error}. "
            + ("Make room on the disk" if full else "Check the folder's permissions")
            + " and run the command again: what is whole is kept.",
            code="not-written",
        ) from error


def _volumes(case: UsableCase, prepared: PreparedVolumes) -> dict[str, Volume]:
    masks = {BRAIN: prepared.brain}
    if prepared.lesions is not None:
        masks[_mask(case.reference)] = prepared.lesions
    masks |= {_mask(rater): mask for rater, mask in prepared.raters.items()}
    if case.lesion_mask is not None:  # after the prepared one: its sidecar has that one's digest
        masks[_drawn(case)] = read_mask(case.lesion_mask)
    return {**prepared.images, **masks}


def _mask_names(case: UsableCase) -> list[str]:
    """The masks that are written for the case, named as in its files."""
    reference = [] if case.lesion_mask is None else [_mask(case.reference), _drawn(case)]
    return [BRAIN, *reference, *(_mask(rater) for rater in case.rater_masks)]


def _mask(description: str) -> str:
    return f"desc-{description}_mask"


def _drawn(case: UsableCase) -> str:
    """The reference on the scanner's own grid."""
    return f"{SCANNER}{_mask(case.reference)}"


def _sidecar(job: Job, case: UsableCase, prepared: PreparedVolumes, name: str) -> dict[str, Any]:
    """What BIDS has names for."""
    settings = job.preprocessing
    where = {
        "own": f"the place of the {settings.reference_of(tuple(case.images))} in its scanner",
        "mni152": "MNI152",
        "halfway": "halfway between the subject's two sessions",
    }[settings.space]
    facts: dict[str, Any] = {"GeneratedBy": _generated_by()}
    if name == _drawn(case) and case.lesion_mask is not None:
        return facts | {
            "SpatialReference": "the image that it was drawn on, in its scanner",
            "Sources": [f"bids:raw:{job.shown(case.lesion_mask)}"],
            "Type": "Lesion",
        }
    facts |= {
        "SpatialReference": where,
        "Resolution": f"{settings.spacing_mm:g} mm isotropic",
    }
    if name in prepared.images:
        facts |= {
            "Sources": [f"bids:raw:{job.shown(case.images[name])}"],
            "SkullStripped": True,
        }
    else:
        facts |= {"Type": "Brain" if name == BRAIN else "Lesion"}
    return facts


def _record(job: Job, case: UsableCase, prepared: PreparedVolumes, name: str) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "Key": job.key(),
        "Steps": job.preprocessing.steps,
        "Space": job.preprocessing.space,
        "SpacingMm": job.preprocessing.spacing_mm,
        "Notes": prepared.notes,
    }
    if name == _drawn(case) and prepared.lesions_move is not None:
        return facts | {"ScannerToCommon": prepared.lesions_move.tolist()}
    if name not in prepared.images:
        return facts
    source = case.images[name]
    scanner = read_volume(source)
    return facts | {
        "Source": job.shown(source),
        "SourceSHA256": job.digests[job.shown(source)],
        "ScannerToCommon": prepared.moves[name].tolist(),
        "ScannerShape": scanner.data.shape,
        "ScannerAffine": scanner.affine.tolist(),
    }


def _generated_by() -> list[dict[str, str]]:
    return [{"Name": RECORD, "Version": importlib.metadata.version("lesionfed")}]


def _replace(folder: Path, partial: Path) -> None:
    """Renames `partial` to `folder`; what was there before goes."""
    old = partial.with_suffix(".old")
    if folder.exists():
        folder.rename(old)
    partial.rename(folder)
    _force(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def _force(folder: Path) -> None:
    """The folder's list of names onto the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read_sidecar(image: Path) -> dict[str, Any]:
    path = image.with_name(image.name.removesuffix(".nii.gz") + ".json")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_whole(path, (json.dumps(content, indent=2) + "\n").encode())
