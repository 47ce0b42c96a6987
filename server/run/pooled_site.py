"""Several sites as one: a BIDS folder of links, for the network that sees all data at once.

For simulation alone: the images of several hospitals lie on one machine.
"""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from common.imaging.intake.bids_names import files_below
from common.imaging.intake.participants import read_participants
from common.recipe.recipe import Recipe

POOLED_DATA = "pooled-data"
"""The folder, in a run's or a study's, that holds a folder of links for each pooled site."""

SUBJECT = re.compile(r"^sub-(?=[^_.])")
"""Where a folder's or file's name says whose it is."""


def pool_sites(sites: Mapping[str, Path], folder: Path) -> Path:
    """`folder`, holding a link to every subject's files of every site; an existing one is kept.

    sites   name -> BIDS folder

    `sub-01` of the second site, lyon, becomes `sub-2lyon01`, in folders and in file names alike:
    the number keeps two sites' subjects apart whatever the sites are called. The places below the
    site's folder stay, so sessions and masks are found as at the site. Links are absolute; nothing
    is copied but the diagnoses in participants.tsv. The folder appears when it is whole.
    """
    if folder.is_dir():
        return folder
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    prefixes = pooled_prefixes(list(sites))
    for name, root in sites.items():
        _link_subjects(root.resolve(), partial, prefixes[name])
    rows = [row for name, root in sites.items() for row in _participants(root, prefixes[name])]
    if rows:
        (partial / "participants.tsv").write_text(_as_tsv(rows), encoding="utf-8")
    partial.rename(folder)
    return folder


def pooled_recipe(recipe: Recipe, *, n_sites: int) -> Recipe:
    """What a pooled site trains with: as many steps a round as all of its sites would take.

    n_sites   that lie in it

    See docs/adr/0015. Rounds, learning rate and batch size stay; there is one site to reply. Steps
    of a whole epoch, and steps by the number of subjects, are those of all sites as they are.
    """
    steps = recipe.optimizer.steps
    if isinstance(steps, int) and recipe.federation.steps_are == "per-site":
        steps = n_sites * steps
    federation = recipe.federation.model_copy(update={"quorum": 1})
    optimizer = recipe.optimizer.model_copy(update={"steps": steps})
    return recipe.model_copy(update={"optimizer": optimizer, "federation": federation})


def pooled_subject(subject: str, *, site: str, sites: list[str]) -> str:
    """What a site's `sub-..` is called in the pooled folder of `sites`."""
    return SUBJECT.sub(pooled_prefixes(sites)[site], subject)


def pooled_prefixes(names: Sequence[str]) -> dict[str, str]:
    """Site -> how its subjects' labels begin in the pooled folder: letters and digits, as in BIDS.

    None is the beginning of another: the numbers differ, and all have as many digits.
    """
    width = len(str(len(names)))
    return {
        name: f"sub-{number:0{width}d}{re.sub('[^A-Za-z0-9]', '', name)}"
        for number, name in enumerate(names, start=1)
    }


def _link_subjects(root: Path, pooled: Path, prefix: str) -> None:
    """Links every file whose name begins with a subject; other files speak of the whole site."""
    paths, _ = files_below(root)
    for path in paths:
        if SUBJECT.match(path.name):
            parts = (SUBJECT.sub(prefix, part) for part in path.relative_to(root).parts)
            link = pooled.joinpath(*parts)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)


def _participants(root: Path, prefix: str) -> Iterator[tuple[str, str]]:
    """Subject and diagnosis of each line; a table that cannot be read has none, as at the site."""
    diagnoses, _ = read_participants(root / "participants.tsv")
    for subject, diagnosis in diagnoses.items():
        yield SUBJECT.sub(prefix, subject), diagnosis or "n/a"


def _as_tsv(rows: list[tuple[str, str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(("participant_id", "diagnosis"))
    writer.writerows(rows)
    return text.getvalue()
