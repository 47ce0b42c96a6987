"""A consortium whose subjects were scanned twice: new lesions, and raters who outline them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from common.arrays import BoolArray
from common.errors import ConfigError
from common.phantom.anatomy import individual
from common.phantom.consortium import OnSubject, PhantomSite, drawn_sites
from common.phantom.follow_up import followed_up
from common.phantom.grid import Field, PhantomGrid, common_grid, resampled
from common.phantom.raters import Rater, drawn_raters
from common.phantom.scanner import Scanner, brain_mask, drawn_scanners, lesion_mask, scan
from common.phantom.site_folder import (
    FollowUpRow,
    Session,
    write_follow_up,
    write_tables,
)
from common.phantom.sources import Sources, load_sources
from common.phantom.subject import Subject
from common.phantom.whole_folder import refuse_filled, whole_folder
from common.seeds import derived_seed

NONE_NEW_EVERY = 4
"""The 4th, 8th, ... subject of the consortium has no new lesion."""
RESCANNED_EVERY = 6
"""The 6th, 12th, ... subject is scanned with other sequences at the second date."""


def make_longitudinal_consortium(
    out: Path,
    *,
    n_sites: int,
    n_subjects: int,
    seed: int,
    spacing_mm: float,
    n_raters: int = 0,
    anatomies: Path | None = None,
    on_subject: OnSubject | None = None,
) -> list[Path]:
    """The folders of `n_sites` new BIDS datasets; each subject has ses-01 and ses-02 on one grid.

    out          a new or empty folder; it appears complete or not at all
    spacing_mm   of the one grid all images come on, 0.5 to 4
    n_raters     people who outlined the new lesions, the same ones at every site
    anatomies    folder of FreeSurfer label maps to use as brains; None: the MNI template
    The same arguments give the same files.
    """
    if n_sites < 1 or n_subjects < 1 or n_raters < 0:
        raise ConfigError(
            "want at least 1 site, 1 subject a site and 0 raters, got "
            f"{n_sites}, {n_subjects} and {n_raters}"
        )
    grid = common_grid(spacing_mm)
    refuse_filled(out)
    sources = load_sources(
        spacing_mm,
        anatomies=anatomies,
        lesion_masks=None,
        n_subjects=n_sites * n_subjects,
        seed=seed,
    )
    raters = drawn_raters(n_raters, seed)
    others = drawn_scanners(n_sites, derived_seed(seed, "second scanners"))
    sites = drawn_sites(n_sites, seed)
    with whole_folder(out) as part:
        for done, (site, other) in enumerate(zip(sites, others, strict=True)):
            numbers = range(n_subjects * done, n_subjects * (done + 1))
            rows = []
            for number in numbers:
                row = _write_subject(
                    part / site.name,
                    number,
                    site=site,
                    other=other,
                    raters=raters,
                    sources=sources,
                    grid=grid,
                    seed=seed,
                )
                rows.append(row)
                if on_subject is not None:
                    on_subject(site.name, row.participant_id)
            phantom = {
                "seed": seed,
                "spacing_mm": spacing_mm,
                "scanner": asdict(site.scanner),
                "scanner_of_some_at_ses_02": asdict(other),
                "scanned_with_it": [_label(n) for n in numbers if _rescanned(n)],
                "lesions": asdict(site.habit),
                "raters": [asdict(rater) for rater in raters],
            }
            write_tables(part / site.name, rows=rows, phantom=phantom)
    return [out / site.name for site in sites]


def _write_subject(
    folder: Path,
    number: int,
    *,
    site: PhantomSite,
    other: Scanner,
    raters: Sequence[Rater],
    sources: Sources,
    grid: PhantomGrid,
    seed: int,
) -> FollowUpRow:
    rng = np.random.default_rng(derived_seed(seed, "follow-up", number))
    average = sources.anatomies[number % len(sources.anatomies)]
    anatomy, _ = individual(average, rng)
    subject = followed_up(
        anatomy,
        site.habit,
        has_new=(number + 1) % NONE_NEW_EVERY != 0,
        raters=raters,
        spacing_mm=grid.spacing_mm[0],
        rng=rng,
    )
    later_scanner = other if _rescanned(number) else _drifted(site.scanner, rng)
    sessions = (
        _session(subject.earlier, site.scanner, grid, derived_seed(seed, "scan", number, 1)),
        _session(subject.later, later_scanner, grid, derived_seed(seed, "scan", number, 2)),
    )

    def mask(share: Field) -> BoolArray:
        return (resampled(share, anatomy.grid, grid) > 0.5) & sessions[1].brain

    return write_follow_up(
        folder,
        _label(number),
        sessions=sessions,
        new=mask(subject.new),
        rated=[mask(share) for share in subject.rated],
        grid=grid,
    )


def _session(subject: Subject, scanner: Scanner, grid: PhantomGrid, seed: int) -> Session:
    return Session(
        images=scan(subject, scanner, grid=grid, seed=seed),
        slice_mm={"FLAIR": scanner.flair.slice_mm, "T1w": scanner.t1w.slice_mm},
        lesion=lesion_mask(subject, grid),
        brain=brain_mask(subject, grid),
    )


def _drifted(scanner: Scanner, rng: np.random.Generator) -> Scanner:
    """The same scanner on another day: a gain that differs by about 8 %."""
    flair, t1w = np.exp(0.08 * rng.standard_normal(2))
    return Scanner(
        flair=replace(scanner.flair, gain=scanner.flair.gain * float(flair)),
        t1w=replace(scanner.t1w, gain=scanner.t1w.gain * float(t1w)),
    )


def _rescanned(number: int) -> bool:
    return (number + 1) % RESCANNED_EVERY == 0


def _label(number: int) -> str:
    return f"sub-P{number + 1:03d}"
