"""Which prediction belongs to which reference, in two folders of masks.

Every reference is planned: one without a prediction of its own, or that cannot be read, is a pair
that has failed, with its reason. Nothing is paired by what two names do not say.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import SiteDataError, printable
from common.imaging.bids_name import (
    LETTERS_AND_DIGITS,
    BidsName,
    disagreeing,
    folder_labels,
    is_label,
    raw_label,
    read_name,
    split_ending,
    values_of,
)
from common.imaging.intake.bids import ON_THE_SCANNER
from common.imaging.intake.findings import first_of
from common.imaging.unread_files import is_image_name, stands_for, why_unread

NO_PREDICTION = "no prediction"

_LESION_MAPS = (None, "lesion", "newlesion")
"""Kinds of mask that may show lesions; None: the name does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One planned case: a reference and the prediction made for it.

    case        the reference's path below its folder, without its ending; with it where two files
                differ in that alone
    prediction  None where there is none; the case counts among the planned ones all the same
    failed      why the pair cannot be scored, one line; None where it can
    """

    case: str
    reference: Path
    prediction: Path | None
    failed: str | None = None

    @property
    def can_be_scored(self) -> bool:
        return self.prediction is not None and self.failed is None


@dataclass(frozen=True, slots=True)
class Pairs:
    """Every reference of a folder with its prediction, in order of their names.

    left_over   predictions that belong to no reference
    set_aside   files beside the references of the same case that are none: images, masks of
                something else, the raters' own masks where there is a consensus, a reference on
                the scanner's grid where the one on the prepared grid is scored
    """

    pairs: tuple[Pair, ...]
    left_over: tuple[Path, ...]
    set_aside: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class _Mask:
    """One image file by its name and its folders.

    below      its path below the folder, without its ending
    entities   as they are compared, sub and ses of the folders among them; desc and label are not
    fault      why its name pairs it with nothing; None for a name that can be read
    """

    path: Path
    below: str
    name: BidsName
    entities: Mapping[str, str]
    fault: str | None

    @property
    def shown(self) -> str:
        return printable(self.path.name)

    @property
    def is_rater(self) -> bool:
        return "rater" in self.name.entities.get("desc", "").lower()

    @property
    def other_kind(self) -> str | None:
        """What the file shows, if its name says that it is no map of lesions."""
        kind = self.name.kind
        if kind not in _LESION_MAPS:
            return f"a mask of the {kind}"
        return "a scanner's image" if kind is None and self.name.is_image else None


def find_pairs(references: Path, predictions: Path) -> Pairs:
    """The images of two folders, paired. Linked folders are followed; hidden ones are left out.

    Files of one relative path belong together, whatever their formats. What is left is paired by
    its BIDS names: two files that have a subject, and agree in every entity that both have, in name
    or folders. Among several, the one with the same entities is meant; else none is. A mask of the
    brain or the cord is paired with nothing, nor are lesions with new lesions.
    SiteDataError: a folder without images.
    """
    ours, theirs = _masks_in(references), _masks_in(predictions)
    predicted = {mask.below for mask in theirs}
    of_subject, predictions_of = _grouped(ours), _grouped(theirs)
    planned = [
        mask
        for mask in ours
        if (mask.is_rater and mask.below in predicted)
        or not (
            _has_reference(mask, of_subject[_subject(mask)])
            or _is_on_the_other_grid(
                mask, of_subject[_subject(mask)], predictions_of.get(_subject(mask), [])
            )
        )
    ]
    partner, failed = _by_path(planned, theirs)
    more, reasons = _by_labels(planned, theirs, done={*partner, *failed})
    partner |= more
    failed |= reasons
    kept = {mask.path for mask in planned}
    used = {mask.path for mask in partner.values()}
    names = Counter(mask.below for mask in planned)
    return Pairs(
        pairs=tuple(
            _pair(mask, partner.get(mask.path), failed.get(mask.path), alone=names[mask.below] == 1)
            for mask in planned
        ),
        left_over=tuple(mask.path for mask in theirs if mask.path not in used),
        set_aside=tuple(mask.path for mask in ours if mask.path not in kept),
    )


def contradictions(reference: Path, prediction: Path) -> list[str]:
    """What the names of two files say against scoring one by the other, a sentence each."""
    masks = [_mask(path, path.parent) for path in (reference, prediction)]
    found = [
        f"{mask.shown} is, by its name, {mask.other_kind}" for mask in masks if mask.other_kind
    ]
    ours, theirs = (mask.name for mask in masks)
    if (entity := disagreeing(ours.entities, theirs.entities)) is not None:
        found.append(f"the names of REF and PRED differ in {entity}-")
    if len({ours.kind, theirs.kind} - {None}) == 2 and not found:
        found.append(f"by their names REF shows {ours.kind} and PRED {theirs.kind}")
    return found


def _pair(mask: _Mask, prediction: _Mask | None, failed: str | None, *, alone: bool) -> Pair:
    """A planned case; what cannot be read is said before what is missing."""
    if (unread := why_unread(mask.path)) is not None:
        failed = f"{mask.shown}: {unread.what}. {unread.fix}"
    elif failed is None and prediction is not None and (unread := why_unread(prediction.path)):
        failed = f"prediction {prediction.shown}: {unread.what}. {unread.fix}"
    return Pair(
        case=printable(mask.below if alone else mask.below + mask.name.ending),
        reference=mask.path,
        prediction=None if prediction is None else prediction.path,
        failed=None if failed is None else printable(failed),
    )


def _masks_in(folder: Path) -> list[_Mask]:
    """Every image below `folder` in order of their names; hidden files and folders left out."""
    masks = [_mask(path, folder) for path in _images_below(folder)]
    if not masks:
        raise SiteDataError(
            f"{folder}: want NIfTI files (.nii or .nii.gz), found none. Check the path, and that "
            "the files are unpacked."
        )
    return sorted(masks, key=lambda mask: (mask.below, mask.path.name))


def _images_below(folder: Path) -> Iterator[Path]:
    """Every image file; a linked folder is followed, unless it leads back to one that it is in.

    A folder that may not be opened, and a link of which nobody can say what it leads to, stand for
    the images in them.
    """
    closed: list[OSError] = []
    for here, inner, names in os.walk(folder, onerror=closed.append, followlinks=True):
        inner[:] = sorted(
            name for name in inner if name[0] != "." and not _leads_back(Path(here, name), folder)
        )
        for path in (Path(here, name) for name in names if name[0] != "."):
            if is_image_name(path.name):
                if stands_for(path) == path:
                    yield path
            elif "." not in path.name and not path.exists():
                yield path
    yield from (Path(error.filename) for error in closed)


def _leads_back(path: Path, folder: Path) -> bool:
    """Whether a linked folder below `folder` is one of those that it lies in."""
    if not path.is_symlink():
        return False
    above = [path.parent, *(one for one in path.parent.parents if one.is_relative_to(folder))]
    return os.path.realpath(path) in map(os.path.realpath, above)


def _mask(path: Path, folder: Path) -> _Mask:
    below = path.relative_to(folder)
    name = read_name(path.name)
    labels = list(folder_labels(below.parts[:-1]))
    entities = dict(labels) | values_of(name.entities)
    odd = [f"{entity}-{label}" for entity, label in labels if not is_label(label)]
    in_name = {entity: raw_label(entity, path.name) for entity, _ in labels}
    own = dict(labels) | {entity: label for entity, label in in_name.items() if label is not None}
    other = [f"{entity}-{label}" for entity, label in labels if own[entity] != label]
    fault = None
    if "sub" not in own and raw_label("sub", path.name) is None:
        fault = None  # no BIDS name, and none meant: paired by its path or not at all
    elif other:
        fault = f"lies in the folder of {other[0]}"
    elif name.fault is not None:
        fault = name.fault
    elif odd:
        fault = f"in the folder {odd[0]}: {LETTERS_AND_DIGITS}"
    return _Mask(
        path=path,
        below=split_ending(below.as_posix())[0],
        name=name,
        entities=entities,
        fault=fault,
    )


def _grouped(masks: Sequence[_Mask]) -> dict[str | None, list[_Mask]]:
    """Subject -> its masks; those that name none under None."""
    found: dict[str | None, list[_Mask]] = {}
    for mask in masks:
        found.setdefault(_subject(mask), []).append(mask)
    return found


def _has_reference(mask: _Mask, of_subject: Sequence[_Mask]) -> bool:
    """Whether a file that is no reference, by its name, lies beside the reference of its case."""
    is_none = mask.other_kind is not None or mask.is_rater
    if not is_none or mask.fault is not None or _subject(mask) is None:
        return False
    return any(
        other.other_kind is None
        and not other.is_rater
        and other.fault is None
        and disagreeing(mask.entities, other.entities) is None
        for other in of_subject
    )


def _is_on_the_other_grid(
    mask: _Mask, of_subject: Sequence[_Mask], predictions: Sequence[_Mask]
) -> bool:
    """Whether a reference lies on two grids, as prepared cases have it, and is scored on the other.

    That is the scanner's where predictions bear its `space-`, else the prepared one.
    """
    space = mask.entities.get("space")
    if mask.fault is not None or space not in (None, ON_THE_SCANNER):
        return False
    twin = dict(mask.entities) | {"space": ON_THE_SCANNER}
    if space is not None:
        del twin["space"]
    if not any(one.entities == twin and one.name.kind == mask.name.kind for one in of_subject):
        return False
    spaces = {one.entities.get("space") for one in predictions if one.fault is None}
    return space not in spaces and (space is not None or ON_THE_SCANNER in spaces)


def _subject(mask: _Mask) -> str | None:
    return mask.entities.get("sub")


def _by_path(
    ours: Sequence[_Mask], theirs: Sequence[_Mask]
) -> tuple[dict[Path, _Mask], dict[Path, str]]:
    """Reference -> the prediction of the same path, and -> why it cannot be scored with it."""
    references, predictions = _by_below(ours), _by_below(theirs)
    partner: dict[Path, _Mask] = {}
    failed: dict[Path, str] = {}
    for below, mine in references.items():
        same = predictions.get(below, [])
        if len(mine) > 1 or len(same) > 1:
            several = mine if len(mine) > 1 else same
            for mask in mine:
                failed[mask.path] = (
                    f"want one file a case, found {' and '.join(one.shown for one in several)} in "
                    f"{printable(several[0].path.parent)}. Move one of them away."
                )
        elif same:
            (mask,), (prediction,) = mine, same
            partner[mask.path] = prediction
            if (reason := _never(mask)) is not None:
                failed[mask.path] = reason
    return partner, failed


def _never(mask: _Mask) -> str | None:
    """Why a reference is not even scored with a prediction of its own path; None where it is."""
    if mask.name.kind not in _LESION_MAPS:
        return f"{mask.other_kind}, never a reference of lesions"
    if mask.fault is not None and mask.fault.startswith("lies in"):
        return f"{mask.fault}. Find out whose it is, then move or rename it."
    return None


def _by_below(masks: Sequence[_Mask]) -> dict[str, list[_Mask]]:
    """Path without ending -> the masks of it, more than one where they differ in that alone."""
    found: dict[str, list[_Mask]] = {}
    for mask in masks:
        found.setdefault(mask.below, []).append(mask)
    return found


def _by_labels(
    ours: Sequence[_Mask], theirs: Sequence[_Mask], *, done: Collection[Path]
) -> tuple[dict[Path, _Mask], dict[Path, str]]:
    """Reference -> the prediction of its subject, session, run and so on, and -> why there is none.

    done   references that are paired, or have failed: others cannot have their predictions
    Two files with the same entities are a pair. Where an entity stands in one name alone, both must
    be without another choice, among all files of the subject.
    """
    mine, others = _grouped(ours), _grouped(theirs)
    partner: dict[Path, _Mask] = {}
    failed: dict[Path, str] = {}
    for mask in ours:
        if mask.path in done:
            continue
        found = _unfit(mask) or _chosen(mask, mine[_subject(mask)], others.get(_subject(mask), []))
        if isinstance(found, str):
            failed[mask.path] = found
        else:
            partner[mask.path] = found
    return partner, failed


def _chosen(mask: _Mask, ours: Sequence[_Mask], theirs: Sequence[_Mask]) -> _Mask | str:
    """The one prediction that can only be of this reference, or why there is none.

    ours, theirs   references and predictions of the subject
    """
    fitting = [prediction for prediction in theirs if _fit(mask, prediction)]
    equal = [prediction for prediction in fitting if prediction.entities == mask.entities]
    choices = equal or fitting
    if not choices:
        reasons = [f"{one.shown} {_difference(mask, one)}" for one in theirs]
        return f"{NO_PREDICTION}: {first_of(reasons)}" if reasons else NO_PREDICTION
    if len(choices) > 1:
        return _ambiguous(mask, choices, "predictions")
    rivals = [one for one in ours if _unfit(one) is None and _fit(one, choices[0])]
    if equal:
        rivals = [one for one in rivals if one.entities == mask.entities]
    return _ambiguous(choices[0], rivals, "references") if len(rivals) > 1 else choices[0]


def _unfit(mask: _Mask) -> str | None:
    """Why the name of a reference pairs it with nothing; None where it may."""
    if mask.fault is not None:
        return f"{mask.fault}. Rename it, or give both files the same name"
    if mask.other_kind is not None:
        return f"{mask.other_kind}, never a reference of lesions"
    return None if _subject(mask) is not None else NO_PREDICTION


def _fit(reference: _Mask, prediction: _Mask) -> bool:
    """Whether the names allow that one was made for the other."""
    kinds = {reference.name.kind, prediction.name.kind} - {None}
    return (
        prediction.fault is None
        and prediction.other_kind is None
        and len(kinds) < 2
        and _subject(prediction) == _subject(reference)
        and disagreeing(reference.entities, prediction.entities) is None
    )


def _difference(reference: _Mask, prediction: _Mask) -> str:
    """Why a prediction of the same subject does not belong to a reference."""
    if prediction.fault is not None:
        return f"cannot be paired ({prediction.fault})"
    if prediction.other_kind is not None:
        return f"is {prediction.other_kind}"
    entity = disagreeing(reference.entities, prediction.entities)
    if entity is None:
        return f"shows {prediction.name.kind}, the reference {reference.name.kind}"
    here, there = reference.entities[entity], prediction.entities[entity]
    return f"has {entity}-{there}, the reference {entity}-{here}"


def _ambiguous(one: _Mask, several: Sequence[_Mask], what: str) -> str:
    listed = " and ".join(str(mask.path) for mask in several)
    return (
        f"{one.path}: want one file of its subject and session among the {what}, found {listed}. "
        "Leave the right one in the folder, or give both files the same name."
    )
