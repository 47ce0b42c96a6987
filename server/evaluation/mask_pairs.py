"""Which prediction belongs to which reference, in two folders of masks."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import SiteDataError
from common.imaging.volume import NIFTI_SUFFIXES


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One planned case: a reference and the prediction made for it.

    case        the reference's path below its folder, without .nii or .nii.gz
    prediction  None where there is none; the case counts among the planned ones all the same
    """

    case: str
    reference: Path
    prediction: Path | None


@dataclass(frozen=True, slots=True)
class Pairs:
    """Every reference of a folder with its prediction, in order of their names.

    left_over   predictions that belong to no reference
    """

    pairs: tuple[Pair, ...]
    left_over: tuple[Path, ...]


def find_pairs(references: Path, predictions: Path) -> Pairs:
    """The NIfTI files of two folders, paired.

    Files of one relative path belong together, whether .nii or .nii.gz. What is left is paired by
    the BIDS labels sub- and ses- in its path: sub-01_desc-lesion_mask.nii.gz with
    sub-01_pred.nii.gz. A file without ses- fits any session, if there is but one.
    SiteDataError: a folder without NIfTI files, or a file that fits several.
    """
    ours, theirs = _by_name(references), _by_name(predictions)
    same = ours.keys() & theirs.keys()
    by_labels = _by_labels(
        {name: path for name, path in ours.items() if name not in same},
        {name: path for name, path in theirs.items() if name not in same},
    )
    partner = {name: name for name in same} | by_labels
    used = set(partner.values())
    return Pairs(
        pairs=tuple(
            Pair(
                case=name,
                reference=path,
                prediction=theirs[partner[name]] if name in partner else None,
            )
            for name, path in ours.items()
        ),
        left_over=tuple(path for name, path in theirs.items() if name not in used),
    )


def _by_name(folder: Path) -> dict[str, Path]:
    """Path below `folder` without its suffix -> file, sorted; hidden files and folders left out."""
    files: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        below = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in below.parts)
        if hidden or not path.name.endswith(NIFTI_SUFFIXES) or not path.is_file():
            continue
        name = without_suffix(below.as_posix())
        if name in files:
            raise SiteDataError(
                f"{folder}: want one file a case, found {files[name].name} and {path.name} in "
                f"{path.parent}. Move one of them away."
            )
        files[name] = path
    if not files:
        raise SiteDataError(
            f"{folder}: want NIfTI files (.nii or .nii.gz), found none. Check the path, and that "
            "the files are unpacked."
        )
    return dict(sorted(files.items()))


def _by_labels(ours: Mapping[str, Path], theirs: Mapping[str, Path]) -> dict[str, str]:
    """Name of a reference -> name of the prediction with its subject and session."""
    by_subject: dict[str, list[str]] = defaultdict(list)
    for name in theirs:
        if (subject := _label("sub", name)) is not None:
            by_subject[subject].append(name)
    partner: dict[str, str] = {}
    claimed: dict[str, str] = {}
    for name in ours:
        fitting = _fitting(name, by_subject.get(_label("sub", name) or "", []))
        if len(fitting) > 1:
            raise _ambiguous(ours[name], [theirs[fit] for fit in fitting], "predictions")
        for fit in fitting:
            if fit in claimed:
                raise _ambiguous(theirs[fit], [ours[claimed[fit]], ours[name]], "references")
            claimed[fit] = name
            partner[name] = fit
    return partner


def _fitting(name: str, of_subject: Sequence[str]) -> list[str]:
    """Those with the same session; without any, those where one of the two names no session."""
    session = _label("ses", name)
    same = [other for other in of_subject if _label("ses", other) == session]
    if same or session is None:
        return same or list(of_subject)
    return [other for other in of_subject if _label("ses", other) is None]


def _label(entity: str, name: str) -> str | None:
    """The label of `entity` in a path; the last one, so that a file's name wins over folders'."""
    found = re.findall(rf"(?:^|[/_]){entity}-([A-Za-z0-9]+)", name)
    return found[-1] if found else None


def _ambiguous(one: Path, several: Sequence[Path], what: str) -> SiteDataError:
    listed = " and ".join(str(path) for path in several)
    return SiteDataError(
        f"{one}: want one file of its subject and session among the {what}, found {listed}. "
        "Leave the right one in the folder, or give both files the same name."
    )


def without_suffix(name: str) -> str:
    """A file name or path without .nii or .nii.gz; one without either is left as it is."""
    return next((name.removesuffix(end) for end in NIFTI_SUFFIXES if name.endswith(end)), name)
