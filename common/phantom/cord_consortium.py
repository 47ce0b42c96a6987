"""A consortium of spinal-cord phantoms on disk: one BIDS dataset a site, each with its scanner."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from common.errors import ConfigError
from common.phantom.consortium import OnSubject
from common.phantom.cord_anatomy import FIELD_OF_VIEW_MM, drawn_anatomy, fine_grid
from common.phantom.cord_folder import write_cord_subject
from common.phantom.cord_lesions import CordHabit, drawn_cord_lesions, no_cord_lesions
from common.phantom.cord_scanner import (
    CordScanner,
    cord_lesion_mask,
    cord_mask,
    drawn_cord_scanners,
    near_cord,
    scan_cord,
)
from common.phantom.grid import PhantomGrid, covering
from common.phantom.site_folder import ParticipantRow, write_tables
from common.phantom.whole_folder import refuse_filled, whole_folder
from common.seeds import derived_seed

SPACING_MM = 1.0
"""Of the grid, unless asked otherwise: 48 x 48 x 128 voxels. The paper's is 0.5."""
LESION_FREE_EVERY = 3
"""The 3rd, 6th, ... subject of a site has no lesions; in the paper 46 of 161 scans."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CordSite:
    """One site of a cord consortium: its name, its scanner, its patients' lesions."""

    name: str
    scanner: CordScanner
    habit: CordHabit


def make_cord_consortium(
    out: Path,
    *,
    n_sites: int,
    n_subjects: int,
    seed: int,
    spacing_mm: float = SPACING_MM,
    on_subject: OnSubject | None = None,
) -> list[Path]:
    """The folders of `n_sites` new BIDS datasets under `out`, each with `n_subjects` subjects.

    out          a new or empty folder; it appears complete or not at all
    spacing_mm   of the one grid all T2w come on, 0.5 to 2
    As prepared: the T2w is 0 further than 15 mm from the cord's centreline. A lesion-free subject
    has an empty lesion mask. The same arguments give the same files.
    """
    if n_sites < 1 or n_subjects < 1:
        raise ConfigError(
            f"want at least 1 site and 1 subject a site, got {n_sites} and {n_subjects}"
        )
    if not 0.5 <= spacing_mm <= 2.0:
        raise ConfigError(f"spacing of the cord phantoms: want 0.5 to 2 mm, got {spacing_mm!r}")
    target = covering(FIELD_OF_VIEW_MM, (spacing_mm, spacing_mm, spacing_mm))
    refuse_filled(out)
    with whole_folder(out) as part:
        for done, site in enumerate(drawn_cord_sites(n_sites, seed)):
            numbers = range(n_subjects * done, n_subjects * (done + 1))
            _write_site(part / site.name, site, numbers, target, seed, on_subject)
    return [out / f"site-{index}" for index in range(1, n_sites + 1)]


def drawn_cord_sites(n: int, seed: int) -> list[CordSite]:
    """`n` sites named site-1, site-2, ...: scanners differ, and so do the patients' lesions."""
    rng = np.random.default_rng(derived_seed(seed, "cord", "patients"))
    number, length, faintest, edge = ((rng.permutation(n) + rng.random(n)) / n for _ in range(4))
    return [
        CordSite(
            name=f"site-{i + 1}",
            scanner=scanner,
            habit=CordHabit(
                number=round(float(3.0 + 3.0 * number[i]), 2),
                length_mm=round(float(10.0 + 6.0 * length[i]), 2),
                faintest=round(float(0.6 + 0.25 * faintest[i]), 3),
                edge_mm=round(float(0.7 + 0.9 * edge[i]), 3),
            ),
        )
        for i, scanner in enumerate(drawn_cord_scanners(n, seed))
    ]


def _write_site(
    folder: Path,
    site: CordSite,
    numbers: range,
    target: PhantomGrid,
    seed: int,
    on_subject: OnSubject | None,
) -> None:
    rows: list[ParticipantRow] = []
    for number in numbers:
        label = f"sub-C{number + 1:03d}"
        free = (number - numbers.start + 1) % LESION_FREE_EVERY == 0
        rows.append(_write_subject(folder, label, number, site, free, target, seed))
        if on_subject is not None:
            on_subject(site.name, label)
    phantom = {
        "seed": seed,
        "spacing_mm": target.spacing_mm[0],
        "scanner": asdict(site.scanner),
        "lesions": asdict(site.habit),
    }
    write_tables(folder, rows=rows, phantom=phantom)


def _write_subject(
    folder: Path,
    label: str,
    number: int,
    site: CordSite,
    free: bool,
    target: PhantomGrid,
    seed: int,
) -> ParticipantRow:
    rng = np.random.default_rng(derived_seed(seed, "cord", "subject", number))
    anatomy = drawn_anatomy(fine_grid(target.spacing_mm[0]), rng)
    if free:
        lesions = no_cord_lesions(anatomy, rng)
    else:
        lesions = drawn_cord_lesions(anatomy, site.habit, rng)
    image = scan_cord(
        anatomy,
        lesions,
        site.scanner,
        region=near_cord(anatomy, target),
        target=target,
        seed=derived_seed(seed, "cord", "scan", number),
    )
    return write_cord_subject(
        folder,
        label,
        image=image,
        slice_mm=site.scanner.slice_mm,
        slice_axis=site.scanner.slice_axis,
        lesion=cord_lesion_mask(anatomy, lesions, target),
        cord=cord_mask(anatomy, target),
        nodes=anatomy.frame.nodes,
    )
