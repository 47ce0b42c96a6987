"""Folders of files with BIDS-like names, drawn by a seed, of which the drawer knows what they are.

What a file is of is written down when its name is made: no test asks the reader under test.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

N_FOLDERS = int(os.environ.get("LESIONFED_NAME_FOLDERS", "60"))
"""How many folders each property is tried on; 2000 for the whole count."""

PLAIN = {
    "sub": ("01", "02"),
    "ses": (None, None, "01", "02"),
    "run": (None, None, None, "1", "01", "2"),
    "acq": (None, None, None, None, "3D", "7T"),
    "desc": ("lesion", "lesion", "lesion", "brain", "newlesion", "unet", None),
    "ending": (".nii.gz", ".nii.gz", ".nii.gz", ".nii.gz", ".nii"),
}
WILD = {
    "sub": ("A-01", "A-02", "CHX-001", "1", "", "M\udcfcller", "Müller"),
    "ses": ("2019-03-01", "2019-09-15", "201903", "2019", ""),
    "run": ("1-b", "x"),
    "acq": ("3-D", ""),
    "desc": ("cord", "lesion-draft", "lesionRater1"),
    "ending": (".NII.GZ", ".nii.GZ", ".hdr", ".mgz", ".nii.bz2", ".nrrd"),
}
"""What stands in names as BIDS has it, and what does not."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """One file: where it lies, and what it was meant to be.

    entities   sub, ses, run, acq as they were meant, run as a number where it is one
    folders    sub and ses of the folders it lies in
    desc       as it was meant
    """

    path: Path
    entities: Mapping[str, str]
    folders: Mapping[str, str]
    desc: str | None
    suffix: str | None


@dataclass(frozen=True, slots=True)
class NameDrawer:
    """Draws names; `wildness` is how often a part is none that BIDS has."""

    random: Random
    wildness: float

    def label(self, entity: str) -> str | None:
        return self.random.choice((WILD if self.wild() else PLAIN)[entity])

    def wild(self) -> bool:
        return self.random.random() < self.wildness

    def file(
        self, root: Path, *, suffixes: Sequence[str | None], described: bool = True
    ) -> Drawn | None:
        """Makes one empty file below `root`; None where its name is taken.

        described   whether it may have a desc- when it is no mask
        """
        random = self.random
        labels = {entity: self.label(entity) for entity in ("sub", "ses", "run", "acq")}
        suffix, sub, ses = random.choice(suffixes), labels["sub"] or "", labels["ses"]
        desc = self.label("desc") if described or suffix == "mask" else None
        in_name = {entity: label for entity, label in labels.items() if label is not None}
        above: dict[str, str] = {}
        if random.random() < 0.5:
            above["sub"] = str(self.label("sub")) if self.wild() else sub
            if ses is not None:
                above["ses"] = "02" if self.wild() else ses
                if random.random() < 0.2:
                    del in_name["ses"]  # the folder alone says it
            elif self.wild():
                above["ses"] = "02"
        parts = [f"{entity}-{label}" for entity, label in in_name.items()]
        if self.wild() and random.random() < 0.2:
            parts.append(parts[0])
        if self.wild() and random.random() < 0.2:
            parts.insert(1, "word")
        parts += [f"desc-{desc}"] * (desc is not None) + [str(suffix)] * (suffix is not None)
        folders = [f"{entity}-{label}" for entity, label in above.items()]
        folder = root.joinpath(*folders, *["anat"] * (bool(folders) and random.random() < 0.5))
        path = folder / ("_".join(parts) + str(self.label("ending")))
        if os.path.lexists(path):
            return None
        folder.mkdir(parents=True, exist_ok=True)
        _fill(path, self.wild() and random.choice(("link", "pointer")))
        meant = dict(in_name)
        if meant.get("run", "").isdigit():
            meant["run"] = str(int(meant["run"]))
        return Drawn(path=path, entities=meant, folders=above, desc=desc, suffix=suffix)


def _fill(path: Path, how: str | bool) -> None:
    if how == "link":
        path.symlink_to("/nowhere/.git/annex/objects/x")
    elif how == "pointer":
        path.write_bytes(b"/annex/objects/SHA256E-s1--0\n")
    else:
        path.touch()
    if path.suffix == ".hdr":
        path.with_suffix(".img").touch()


def differ(one: Drawn, other: Drawn) -> str | None:
    """The entity in which two files differ, of those that both have in name or folders."""
    ours, theirs = ({**file.folders, **file.entities} for file in (one, other))
    return next((e for e in ours.keys() & theirs.keys() if ours[e] != theirs[e]), None)
