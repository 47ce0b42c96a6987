"""Images that are there and cannot be read as they are: another format, or no content on this disk.

NIfTI in one file is what is read, under the endings .nii.gz and .nii as BIDS has them.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from common.imaging.bids_name import split_ending
from common.imaging.volume import NIFTI_SUFFIXES

_POINTERS = {
    b"/annex/objects/": ("a pointer of git-annex, not the image", "git annex get"),
    b"version https://git-lfs": ("a pointer of Git LFS, not the image", "git lfs pull"),
}
"""How a file begins that stands for an image which is elsewhere -> what it is, what gets it."""

_LONGEST_POINTER_BYTES = 32 << 10

_UNPACKERS = {
    **{"bz2": "bunzip2", "xz": "unxz", "zst": "unzstd", "z": "uncompress", "zip": "unzip"},
    **{"7z": "7z x", "rar": "unrar x", "lz4": "unlz4", "lzma": "unlzma", "gz.gz": "gunzip"},
    **{"tar": "tar xf", "tgz": "tar xf", "tar.gz": "tar xf"},
}

OF_OTHER_USE = frozenset({".npy", ".npz", ".tif", ".tiff"})
"""Endings in small letters that an image may have, and much else that is none."""

_PARTNERS = {".img": ".hdr", ".brik": ".head"}
"""The file with the voxels -> the one with the header, which stands for both."""


@dataclass(frozen=True, slots=True)
class Unread:
    """Why an image is not read, in a few words, and what to do.

    code   other-format, no-content
    """

    code: str
    what: str
    fix: str


def why_unread(path: Path) -> Unread | None:
    """Why the image `path` cannot be read; None where it may be: a NIfTI file that has content.

    Damage inside a NIfTI file shows when it is read.
    """
    found = other_format(path.name) if is_image_name(path.name) else None
    return found if found is not None else _without_content(path)


def other_format(name: str) -> Unread | None:
    """Why the image of this name is not read, by its ending; None for .nii.gz and .nii."""
    stem, ending = split_ending(name)
    if ending in NIFTI_SUFFIXES:
        return None
    plain = ending.lower()
    fix = _conversion(Path(name).name, Path(stem).name, plain)
    return Unread("other-format", f"{ending} is not read, only {' and '.join(NIFTI_SUFFIXES)}", fix)


def is_image_name(name: str) -> bool:
    """Whether a file's name ends as an image's does, in any format."""
    ending = split_ending(name)[1]
    return ending != "" and ending.lower() != ".tsv"


def stands_for(path: Path) -> Path:
    """The file that stands for the image `path` belongs to: of a pair, the one with the header."""
    stem, ending = split_ending(path.name)
    first = re.match(r"\.[a-z]+", ending, re.IGNORECASE)
    partner = None if first is None else _PARTNERS.get(first[0].lower())
    if partner is None:
        return path
    for ending in (partner, f"{partner}.gz", partner.upper(), f"{partner.upper()}.gz"):
        if os.path.lexists(header := path.with_name(stem + ending)):
            return header
    return path


def _conversion(name: str, stem: str, ending: str) -> str:
    """What to do with the file, by its ending in small letters."""
    if ending in NIFTI_SUFFIXES:
        return f"Rename it to {stem}{ending}."
    first, _, packed = ending[1:].partition(".")
    if packed in _UNPACKERS:
        return f"Unpack it: {_UNPACKERS[packed]} {name}."
    if first in ("hdr", "img"):
        return f"Make one file of header and voxels: nib-convert {stem}.img {stem}.nii.gz."
    if first in ("mgz", "mgh"):
        return f"Convert it: mri_convert {name} {stem}.nii.gz."
    if first in ("head", "brik"):
        return f"Convert it: 3dAFNItoNIFTI -prefix {stem}.nii.gz {name}."
    if first == "mnc":
        return f"Convert it: mnc2nii {name} {stem}.nii."
    if ending in OF_OTHER_USE:
        return f"Save it as {stem}.nii.gz, with the place of the image that it was drawn on."
    return f"Save it as {stem}.nii.gz, with 3D Slicer or SimpleITK."


def _without_content(path: Path) -> Unread | None:
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            fix = "Give the account that runs this command the right to look into it."
            return Unread("no-content", "no file, or a folder that may not be opened", fix)
        if not 0 < facts.st_size <= _LONGEST_POINTER_BYTES:
            return None
        with path.open("rb") as file:
            start = file.read(32)
    except FileNotFoundError:
        return _link_to_nothing(path)
    except OSError:
        return None  # whoever reads it says what is wrong
    for beginning, (what, command) in _POINTERS.items():
        if start.startswith(beginning):
            return Unread("no-content", what, f"Fetch it: {command} {path.name}.")
    return None


def _link_to_nothing(path: Path) -> Unread | None:
    if not path.is_symlink():
        return None  # gone a moment ago
    target = os.readlink(path)
    in_annex = ".git/annex" in target
    fix = f"Fetch it: git annex get {path.name}." if in_annex else "Copy the file, mend the link."
    return Unread("no-content", f"a link without content: nothing is at {target}", fix)
