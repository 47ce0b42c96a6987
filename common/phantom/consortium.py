"""A consortium of phantom sites on disk: one BIDS dataset a site, each with its own scanner."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from common.errors import ConfigError
from common.phantom.grid import PhantomGrid, common_grid
from common.phantom.lesions import LesionHabit
from common.phantom.scanner import Scanner, brain_mask, drawn_scanners, lesion_mask, scan
from common.phantom.site_folder import ParticipantRow, write_subject, write_tables
from common.phantom.sources import Sources, load_sources
from common.phantom.whole_folder import refuse_filled, whole_folder
from common.seeds import derived_seed

HEALTHY_EVERY = 8
"""The 8th, 16th, ... subject of a site has no lesions."""

OnSubject = Callable[[str, str], None]
"""Called with site and subject after each subject is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomSite:
    """One site of a phantom consortium: its name, its scanner, its patients' lesions."""

    name: str
    scanner: Scanner
    habit: LesionHabit


def make_consortium(
    out: Path,
    *,
    n_sites: int,
    n_subjects: int,
    seed: int,
    spacing_mm: float,
    anatomies: Path | None = None,
    lesion_masks: Path | None = None,
    without_masks: Sequence[str] = (),
    on_subject: OnSubject | None = None,
) -> list[Path]:
    """The folders of `n_sites` new BIDS datasets under `out`, each with `n_subjects` subjects.

    out             a new or empty folder; it appears complete or not at all
    spacing_mm      of the one grid all images come on, 0.5 to 4
    anatomies       folder of FreeSurfer label maps to use as brains; None: the MNI template
    lesion_masks    folder of lesion masks in MNI space to use as lesions; None: drawn
    without_masks   masks to leave out, as in `mni_lesion_masks`
    The same arguments give the same files.
    """
    if n_sites < 1 or n_subjects < 1:
        raise ConfigError(
            f"want at least 1 site and 1 subject a site, got {n_sites} and {n_subjects}"
        )
    grid = common_grid(spacing_mm)
    refuse_filled(out)
    sources = load_sources(
        spacing_mm,
        anatomies=anatomies,
        lesion_masks=lesion_masks,
        n_subjects=n_sites * n_subjects,
        seed=seed,
        without_masks=without_masks,
    )
    with whole_folder(out) as part:
        for done, site in enumerate(drawn_sites(n_sites, seed)):
            numbers = range(n_subjects * done, n_subjects * (done + 1))
            _write_site(part / site.name, site, sources, numbers, grid, seed, on_subject)
    return [out / f"site-{index}" for index in range(1, n_sites + 1)]


def drawn_sites(n: int, seed: int) -> list[PhantomSite]:
    """`n` sites named site-1, site-2, ...: scanners differ, and so do the patients' lesions."""
    rng = np.random.default_rng(derived_seed(seed, "patients"))
    load, size, faintest, edge, periventricular = (
        (rng.permutation(n) + rng.random(n)) / n for _ in range(5)
    )
    return [
        PhantomSite(
            name=f"site-{i + 1}",
            scanner=scanner,
            habit=LesionHabit(
                load_ml=round(float(7.0 * 1.8 ** load[i]), 2),
                size=round(float(2.0 * 1.8 ** size[i]), 3),
                periventricular=round(float(0.3 + 0.25 * periventricular[i]), 3),
                juxtacortical=0.2,
                faintest=round(float(0.45 + 0.25 * faintest[i]), 3),
                edge_mm=round(float(0.8 + 1.2 * edge[i]), 3),
            ),
        )
        for i, scanner in enumerate(drawn_scanners(n, seed))
    ]


def _write_site(
    folder: Path,
    site: PhantomSite,
    sources: Sources,
    numbers: range,
    grid: PhantomGrid,
    seed: int,
    on_subject: OnSubject | None,
) -> None:
    rows: list[ParticipantRow] = []
    slice_mm = {"FLAIR": site.scanner.flair.slice_mm, "T1w": site.scanner.t1w.slice_mm}
    for number in numbers:
        label = f"sub-P{number + 1:03d}"
        healthy = (number - numbers.start + 1) % HEALTHY_EVERY == 0
        subject = sources.subject(number, habit=site.habit, seed=seed, healthy=healthy)
        row = write_subject(
            folder,
            label,
            images=scan(subject, site.scanner, grid=grid, seed=derived_seed(seed, "scan", number)),
            slice_mm=slice_mm,
            lesion=lesion_mask(subject, grid),
            brain=brain_mask(subject, grid),
            grid=grid,
        )
        rows.append(row)
        if on_subject is not None:
            on_subject(site.name, label)
    phantom = {
        "seed": seed,
        "spacing_mm": grid.spacing_mm[0],
        "scanner": asdict(site.scanner),
        "lesions": asdict(site.habit),
    }
    write_tables(folder, rows=rows, phantom=phantom)
