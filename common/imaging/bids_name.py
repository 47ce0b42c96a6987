"""A file's BIDS name taken apart: the one reader of names, for intake, scoring and evaluation.

    sub-01_ses-02_run-1_desc-lesion_mask.nii.gz
    entity-label, with _ between; then the suffix; then the ending

A label ends at `_`, never at a hyphen: `ses-2019-03-01` and `ses-2019-09-15` are two visits, and a
name that holds them is refused rather than cut to `ses-2019`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

LETTERS_AND_DIGITS = "a label is letters and digits only"

MOST_SIDECAR_BYTES = 1 << 20
"""Of the JSON beside an image; no converter writes a tenth of it."""

_LABEL = re.compile(r"[A-Za-z0-9]+")
_SUFFIX = re.compile(r"(?!.*[0-9]{4})[A-Za-z][A-Za-z0-9]*")
"""A word: a date after the last _ tells two scans apart, and is no suffix."""

_ENTITY = re.compile(r"[a-z]+")
_NUMBERED = frozenset({"chunk", "echo", "flip", "inv", "run", "split"})
"""Entities whose labels are numbers: run-1 is run-01."""

_ENDING = re.compile(
    r"\.(nii|img|hdr|head|brik)"
    r"(\.(gz|bz2|xz|zst|z|zip|7z|rar|lz4|lzma|tar|tgz|tar\.gz|gz\.gz))?$"
    r"|\.(mgz|mgh(\.gz)?|nrrd|nhdr|mha|mhd|mnc(\.gz)?|gipl(\.gz)?|npy|npz|tiff?|tsv)$",
    re.IGNORECASE,
)
"""How the name of an image ends, in any format, and of a table."""


@dataclass(frozen=True, slots=True)
class BidsName:
    """The parts of a file's name.

    entities   "sub" -> "01", "ses" -> "02", .. in the order of the name; a label that is refused
               is not among them
    suffix     "mask", or None where the name ends with an entity
    ending     ".nii.gz", as it is written; empty where there is none that is known
    fault      what is wrong with the name, in a few words; None for a name that may be used
    suggested  a name without these faults, where there is one
    """

    entities: Mapping[str, str]
    suffix: str | None
    ending: str
    fault: str | None
    suggested: str | None

    @property
    def kind(self) -> str | None:
        """What a mask shows: lesion, newlesion, brain, cord, ..; None where the name does not say.

        By `desc-`, else `label-`, else the suffix. A rater's own lesionRater1 is of kind lesion.
        """
        words = (self.entities.get("desc"), self.entities.get("label"), self.suffix)
        return next((kind for word in words if word and (kind := _kind(word))), None)

    @property
    def is_image(self) -> bool:
        """Whether the suffix is a scanner image's: no mask has it."""
        return self.suffix in SCANNER_IMAGES


SCANNER_IMAGES = frozenset(
    {"FLAIR", "T1w", "T2w", "T2star", "T2starw", "PD", "PDw", "PDT2", "PDT2w", "UNIT1", "inplaneT1"}
    | {"inplaneT2", "T1rho", "T1map", "T2map", "T2starmap", "PDmap", "R1map", "R2map", "MTRmap"}
    | {"MTsat", "MTR", "MTS", "MP2RAGE", "MPM", "MEGRE", "MESE", "VFA", "SWI", "swi", "angio"}
    | {"bold", "sbref", "dwi", "asl", "m0scan", "pet", "epi", "fieldmap", "phase", "phasediff"}
    | {"magnitude", "magnitude1", "magnitude2"}
)
"""Suffixes of images, as BIDS has them."""

_OTHER_KINDS = (
    *("brain", "head", "skull", "scalp", "face", "bone", "cord", "spinalcord", "vessel"),
    *("csf", "gm", "wm", "gray", "grey", "white", "tissue", "ventricle", "thalamus", "cortex"),
    *("cortical", "ribbon", "aseg", "aparc", "background", "foreground", "body", "fov"),
    *("icv", "tiv", "intracranial", "hippocamp", "cerebell", "amygdal", "putamen", "caudate"),
    *("pallid", "accumbens", "subcort", "deepgray", "deepgrey", "dgm", "nawm", "nagm", "eye"),
)
"""How the words begin that a mask of something else than lesions bears."""


_NOT_LESIONS = re.compile(r"(no|non|without|minus)lesion|lesions?(free|fill|inpaint|remov)")
"""Words of what has lesions in its name and none in it: a T1w whose lesions were filled."""

_WHOLE_WORDS = {"sc": "cord", "bet": "brain"}


def _kind(word: str) -> str | None:
    plain = word.lower()
    if _NOT_LESIONS.search(plain):
        return "area without lesions"
    if plain.startswith("newlesion"):
        return "newlesion"
    # white-matter lesions and hyperintensities
    if "lesion" in plain or plain.startswith(("wmh", "wml")) or "hyperintens" in plain:
        return "lesion"
    if plain in _WHOLE_WORDS:
        return _WHOLE_WORDS[plain]
    return next((kind for kind in _OTHER_KINDS if plain.startswith(kind)), None)


def read_name(name: str) -> BidsName:
    """The parts of a file's name; of a folder's name as well, which has no suffix and no ending.

    name   without folders
    """
    stem, ending = split_ending(name)
    parts = stem.split("_")
    suffix = None if "-" in parts[-1] else parts.pop()
    pairs = [part.partition("-") for part in parts]
    faults = [fault for entity, hyphen, label in pairs if (fault := _fault(entity, hyphen, label))]
    if suffix is not None and not _SUFFIX.fullmatch(suffix):
        faults.append(f"{suffix or 'nothing'} after the last _: want a word, such as FLAIR or mask")
    twice = [entity for entity, n in Counter(entity for entity, *_ in pairs).items() if n > 1]
    faults += [f"{entity}- stands twice" for entity in twice]
    entities = {
        entity: label
        for entity, hyphen, label in pairs
        if entity not in twice and _fault(entity, hyphen, label) is None
    }
    return BidsName(
        entities=entities,
        suffix=suffix,
        ending=ending,
        fault=faults[0] if faults else None,
        suggested=_suggested(pairs, suffix, ending) if faults and not twice else None,
    )


def split_ending(name: str) -> tuple[str, str]:
    """A file's name or path without its ending, and the ending as it is written.

    The endings of images and tables are known, in any case; anything else stays with the name.
    """
    found = _ENDING.search(name)
    return (name, "") if found is None else (name[: found.start()], found[0])


def raw_label(entity: str, name: str) -> str | None:
    """What stands between `entity-` and the next `_` in a name, be it a label or not; "" if empty.

    To tell apart, and to show, what is refused; never to pair files by it.
    """
    for part in split_ending(name)[0].split("_"):
        found, hyphen, label = part.partition("-")
        if hyphen and found == entity:
            return label
    return None


def disagreeing(ours: Mapping[str, str], theirs: Mapping[str, str]) -> str | None:
    """The first entity that both have and in which they differ, desc and label left out."""
    return next(
        (
            entity
            for entity, label in ours.items()
            if entity in theirs
            and entity not in ("desc", "label")
            and _value(entity, label) != _value(entity, theirs[entity])
        ),
        None,
    )


def values_of(entities: Mapping[str, str]) -> dict[str, str]:
    """Entity -> label as it is compared, desc and label left out: run-01 is run-1."""
    return {
        entity: _value(entity, label)
        for entity, label in entities.items()
        if entity not in ("desc", "label")
    }


def _value(entity: str, label: str) -> str:
    return label.lstrip("0") or "0" if entity in _NUMBERED and label.isdigit() else label


def _fault(entity: str, hyphen: str, label: str) -> str | None:
    """What is wrong with one part of a name."""
    part = f"{entity}{hyphen}{label}"
    if not hyphen:
        return f"{part or 'nothing'} between two _: want entity-label, such as acq-3D"
    if _ENTITY.fullmatch(entity) and _LABEL.fullmatch(label):
        return None
    if not label:
        return f"{part}: no label; {LETTERS_AND_DIGITS}"
    if not _LABEL.fullmatch(label):
        return f"{part}: {LETTERS_AND_DIGITS}"
    return f"{part}: want small letters before the hyphen, such as sub- or ses-"


def _suggested(pairs: list[tuple[str, str, str]], suffix: str | None, ending: str) -> str | None:
    """The name with everything left out of its labels that is no letter or digit."""
    plain = [(entity.lower(), re.sub("[^A-Za-z0-9]", "", label)) for entity, _, label in pairs]
    if any(not _ENTITY.fullmatch(entity) or not label for entity, label in plain):
        return None
    if suffix is not None and not _SUFFIX.fullmatch(suffix):
        return None
    words = [f"{entity}-{label}" for entity, label in plain]
    return "_".join(words if suffix is None else [*words, suffix]) + ending


def folder_labels(folders: Iterable[str]) -> Iterator[tuple[str, str]]:
    """("sub", "01"), ("ses", "02"), .. of the folders of a path, outermost first.

    As `raw_label`: what is no label comes as it is written. A folder may bear both, sub-01_ses-02.
    """
    for folder in folders:
        pairs = [part.partition("-") for part in folder.split("_")]
        if all(hyphen and entity in ("sub", "ses") for entity, hyphen, _ in pairs):
            yield from ((entity, label) for entity, _, label in pairs)
        elif pairs[0][1] and pairs[0][0] in ("sub", "ses"):
            yield pairs[0][0], folder.partition("-")[2]


def is_label(text: str) -> bool:
    """Whether a text may stand as a label."""
    return _LABEL.fullmatch(text) is not None
