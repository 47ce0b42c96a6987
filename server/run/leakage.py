"""No subject is on two sides: one folder, one subject or one image in two parts of a run.

Refused before the first round, with both places named. A network that has seen a case judges it too
well, and nothing in its scores would show it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

from common.errors import ConfigError
from common.files import is_below, is_same_path
from common.imaging.intake.findings import first_of
from common.recipe.federation import Federation
from common.recipe.recipe import Recipe
from server.run.data_record import (
    DataPlace,
    DataRecord,
    RecordedImage,
    RecordedPlace,
    cases_of,
    files_digest,
    read_record,
    recorded,
    write_record,
)
from server.run.run_folder import RunFolder

WHY = "a network must not be judged, nor anything of it chosen, by what it has seen"


def examined_places(
    places: Sequence[DataPlace],
    *,
    recipe: Recipe,
    labels_are_local: bool,
    known: Sequence[RecordedPlace] = (),
) -> DataRecord:
    """What lies in the places, none of which shares a folder, a subject or an image with another.

    labels_are_local   equal labels at two places are two people: they are not refused
    known              places read before; one whose files are still the same is not read again

    ConfigError names both places. Folders are compared before any file is looked at, and the names
    of subjects before any image is read. Where a training site keeps subjects from training, one
    image under two of its subjects is refused as well: they may be on two sides of its split.
    """
    _require_folders_apart(itertools.combinations(places, 2))
    cases = [cases_of(place, recipe.task) for place in places]
    if not labels_are_local:
        subjects = [{case.subject for case in of_place} for of_place in cases]
        named = zip(places, subjects, strict=True)
        for (one, ours), (other, theirs) in itertools.combinations(named, 2):
            _require_other_subjects(one, ours, other, theirs)
    read = {(place.data, place.files): place for place in known}
    found = []
    for place, of_place in zip(places, cases, strict=True):
        before = read.get((place.data, files_digest(place.data))) if read else None
        found.append(
            recorded(place, of_place)
            if before is None
            else before.model_copy(update={"name": place.name, "part": place.part})
        )
    _require_images_apart(itertools.combinations(found, 2))
    if _keeps_back(recipe.federation):
        for trained in (place for place in found if place.part in ("train", "any")):
            _require_images_once(trained)
    return DataRecord(labels_are_local=labels_are_local, places=tuple(found))


def require_masks_apart(lesion_masks: Path | None, places: Sequence[DataPlace]) -> None:
    """Nothing, or ConfigError where a loss would be learned from the masks of those who judge."""
    for place in places:
        judges = place.part in ("validation", "unseen", "any")
        if lesion_masks is not None and judges and _overlap(lesion_masks, place.data):
            raise ConfigError(
                f"the lesion masks in {lesion_masks} and {place}: one of these folders is the "
                f"other, or lies inside it: {WHY}. Take the masks of other subjects."
            )


def require_apart(
    judging: DataRecord, others: Sequence[RecordedPlace], *, labels_are_local: bool
) -> None:
    """Nothing, or ConfigError where one of `judging` shares a folder, subject or image with one.

    others   places of an earlier run, by its record
    """
    pairs = [(one, other) for one in judging.places for other in others]
    _require_folders_apart((one.place, other.place) for one, other in pairs)
    if not labels_are_local:
        for one, other in pairs:
            _require_other_subjects(one.place, set(one.subjects), other.place, set(other.subjects))
    _require_images_apart(pairs)


def require_apart_still(folder: RunFolder) -> None:
    """Looks again where files have changed since the run was laid out, and keeps what it found.

    ConfigError as `examined_places`.
    """
    record = read_record(folder.data_record_file)
    again = None if record is None else examined_again(record, recipe=folder.recipe())
    if again is not None:
        write_record(folder.data_record_file, again)


def examined_again(record: DataRecord, *, recipe: Recipe) -> DataRecord | None:
    """The record of places whose files have changed since; None where none has.

    A place that is not there any more stays as it was recorded. ConfigError as `examined_places`.
    """
    changed = any(
        place.data.is_dir() and files_digest(place.data) != place.files for place in record.places
    )
    if not changed:
        return None
    gone = [place for place in record.places if not place.data.is_dir()]
    here = examined_places(
        [place.place for place in record.places if place.data.is_dir()],
        recipe=recipe,
        labels_are_local=record.labels_are_local,
        known=record.places,
    )
    require_apart(here, gone, labels_are_local=record.labels_are_local)
    return here.model_copy(update={"places": (*here.places, *gone)})


def _keeps_back(federation: Federation) -> bool:
    """Whether a training site keeps some of its subjects from training."""
    shares = (
        federation.site_validation_share,
        federation.site_threshold_share,
        federation.site_test_share,
    )
    return any(share > 0 for share in shares)


def _require_folders_apart(pairs: Iterable[tuple[DataPlace, DataPlace]]) -> None:
    for one, other in pairs:
        if is_same_path(one.data, other.data):
            raise ConfigError(
                f"{one} and {other} are one folder: {WHY}. Name every folder once, and give each "
                "part of the run a folder of its own."
            )
        if _overlap(one.data, other.data):
            raise ConfigError(
                f"{one} and {other}: one of these folders lies inside the other, so that its "
                f"subjects would belong to both: {WHY}. Give each part of the run a folder of its "
                "own."
            )


def _overlap(one: Path, other: Path) -> bool:
    return is_below(one, other) or is_below(other, one)


def _require_other_subjects(
    one: DataPlace, ours: set[str], other: DataPlace, theirs: set[str]
) -> None:
    known = {label.casefold() for label in theirs}  # sub-P01 and sub-p01 are one name in BIDS
    if both := sorted(label for label in ours if label.casefold() in known):
        raise ConfigError(
            f"{one} and {other} both have {first_of(both)}. If that is one person with images in "
            f"both: {WHY}; leave the subject in one of the folders. If each hospital numbers its "
            "own subjects and these are two people, give --labels-are-local, which the run and its "
            "report keep (a run that has begun cannot take it: begin a new one); or give the "
            "subjects labels that differ."
        )


def _require_images_apart(pairs: Iterable[tuple[RecordedPlace, RecordedPlace]]) -> None:
    for one, other in pairs:
        theirs = {digest: image for image in other.images for digest in image.digests}
        for image in one.images:
            twin = next((theirs[digest] for digest in image.digests if digest in theirs), None)
            if twin is not None:
                raise ConfigError(
                    f"{one.place}: {image.shown} holds the same voxels as {twin.shown} of "
                    f"{other.place}, whatever the files are called: {WHY}. Find out whose image it "
                    "is, and leave it in one of the folders."
                )


def _require_images_once(place: RecordedPlace) -> None:
    first: dict[str, RecordedImage] = {}
    for image in place.images:
        for digest in image.digests:
            twin = first.setdefault(digest, image)
            if twin.subject != image.subject:
                raise ConfigError(
                    f"{place.place}: {image.shown} holds the same voxels as {twin.shown}, and the "
                    "site keeps some of its subjects from training: one of them may train and the "
                    f"other choose or judge, and {WHY}. Find out whose image it is, and remove the "
                    "other."
                )
