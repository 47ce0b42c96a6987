"""Which part of the site's split each subject is in, for the life of a run.

A hospital's folder changes while a run lasts: an exam is exported at night, a subject withdraws.
Split anew, a subject that has trained could come to judge, and another choose the threshold. So the
split is made once, and remembered; docs/adr/0052.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path
from typing import Final

from client.site.settings import Site
from common.errors import SiteDataError
from common.files import SECRET, write_whole
from common.imaging.dataset.prepared import PreparedCase
from common.imaging.dataset.split import PARTS, Part, Split
from common.recipe.recipe import Recipe

KEPT_RUNS: Final = 200
"""Runs whose split a site remembers, those used last: some kB each."""


def run_split(
    cases: Sequence[PreparedCase],
    site: Site,
    recipe: Recipe,
    *,
    run: str,
    split_anew: Callable[[], Split],
) -> Split:
    """The cases in the parts that their subjects were in when the run began here.

    run          its name; with another recipe it is another run
    split_anew   gives the split of a run that begins

    A subject that is new since then only trains, now and for the rest of the run. One that is gone
    leaves its part, and is in the same one if it comes back. SiteDataError where what was
    remembered cannot be read, and where nobody with a lesion would train.
    """
    file = _file(site, recipe, run)
    first = _remembered(file)
    if first is None:
        split = split_anew()
        _remember(file, {c.subject: part for part in PARTS for c in getattr(split, part)}, set())
        return split
    part_of, later = first
    here = {case.subject for case in cases}
    new = sorted(here - part_of.keys() - later)
    if new:
        later = later | set(new)
        _remember(file, part_of, later)
    os.utime(file)
    now = {**dict.fromkeys(later, "training"), **part_of}
    split = Split.of_parts(
        {part: [case for case in cases if now[case.subject] == part] for part in PARTS},
        n_new=len(here & later),
        n_lost=len(part_of.keys() - here),
    )
    if not any(case.trainable for case in split.training):
        raise SiteDataError(
            f"site {site.name}: every subject with a lesion that trained in run {run!r:.200} is "
            f"gone from {site.data}, and those that are left are kept for choices and for the "
            "test. Put the subjects back, or pause the site for the rest of the run.",
            code="training-subjects-gone",
        )
    return split


def _file(site: Site, recipe: Recipe, run: str) -> Path:
    # by digest: the run's name is the coordinator's, and must not choose a path here
    of_run = hashlib.sha256(f"{run}\n{recipe.canonical_json()}".encode()).hexdigest()
    return site.work / "splits" / f"{of_run[:32]}.json"


def _remembered(file: Path) -> tuple[Mapping[str, Part], frozenset[str]] | None:
    """Subject -> part when the run began, and the subjects that came later; None for a new run."""
    try:
        table = json.loads(file.read_text(encoding="utf-8"))
        part_of, later = table["part_of"], table["later"]
        if not (isinstance(part_of, dict) and isinstance(later, list)):
            raise TypeError(f"want a table and a list, got {type(part_of)} and {type(later)}")
        if odd := {part for part in part_of.values() if part not in PARTS}:
            raise ValueError(f"want parts of a split, got {sorted(map(repr, odd))[:3]}")
        return part_of, frozenset(map(str, later))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise SiteDataError(
            f"{file}: who trains and who judges in this run cannot be read: {error!r:.300}. "
            "Restore the file from a backup. Without it the run cannot go on here: split anew, a "
            "subject that has trained could come to judge.",
            code="split-damaged",
        ) from None


def _remember(file: Path, part_of: Mapping[str, str], later: Set[str]) -> None:
    """Writes the split whole, for this user alone, and forgets the runs that are too long ago."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    table = {"part_of": dict(part_of), "later": sorted(later)}
    write_whole(file, json.dumps(table, indent=0, sort_keys=True).encode(), mode=SECRET)
    runs = sorted(file.parent.glob("*.json"), key=_last_used)
    for old in runs[:-KEPT_RUNS]:
        old.unlink(missing_ok=True)


def _last_used(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:  # another run at this site has just forgotten it
        return 0
