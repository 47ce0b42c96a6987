"""The consortium benchmark on disk: nine sites with a role each, and a table of what they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import ConfigError
from common.phantom.anatomy import Anatomy, individual, label_map_anatomy, mni_anatomy
from common.phantom.benchmark_sites import ROLES, BenchmarkSite, benchmark_sites
from common.phantom.consortium import OnSubject
from common.phantom.grid import LABEL_MAP_BOX_MM, PhantomGrid, anatomy_grid, common_grid
from common.phantom.lesion_load import masked_to_load
from common.phantom.lesions import LesionHabit, drawn_lesions, no_lesions
from common.phantom.scanner import lesion_mask, scan, stripped_mask
from common.phantom.site_folder import ParticipantRow, write_subject, write_tables
from common.phantom.sources import (
    different_label_maps,
    lesion_share,
    mask_record,
    mni_lesion_masks,
    shuffled,
)
from common.phantom.subject import Subject, subject_of
from common.phantom.whole_folder import refuse_filled, whole_folder
from common.seeds import derived_seed

SPACING_MM = 1.0
"""Of the images, unless asked otherwise."""
LEAST_MASK_ML = 0.5
"""Masks with less lesion are passed over."""
SHARPENING, SULCI = 1.5, (0.7, 1.6)
"""Of label maps, whose borders are smoothed when they are placed: real FLAIRs are crisper. Their
sulci are one person's, and need less widening than the template's. Chosen."""
TABLE = "consortium.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSources:
    """What one site's subjects are made from, and no other site's.

    anatomies      label maps; none: the MNI template
    lesion_masks   masks in MNI space; none: lesions are drawn
    """

    anatomies: tuple[Path, ...]
    lesion_masks: tuple[Path, ...]


def make_benchmark(
    out: Path,
    *,
    n_subjects: int,
    seed: int,
    spacing_mm: float = SPACING_MM,
    anatomies: Path | None = None,
    lesion_masks: Path | None = None,
    without_masks: Sequence[str] = (),
    on_subject: OnSubject | None = None,
) -> list[Path]:
    """The folders of the nine sites of `benchmark_sites` under `out`, and the table TABLE.

    out             a new or empty folder; it appears complete or not at all
    spacing_mm      of the one grid all images come on, 0.5 to 4
    anatomies       folder of FreeSurfer label maps, at least nine; None: the MNI template, deformed
    lesion_masks    folder of lesion masks in MNI space, at least nine; None: drawn
    without_masks   masks to leave out, as in `mni_lesion_masks`

    No anatomy and no mask is used at two sites. The second time round a site's mask is mirrored.
    The same arguments give the same files.
    """
    if n_subjects < 1:
        raise ConfigError(f"want at least 1 subject a site, got {n_subjects}")
    grid = common_grid(spacing_mm)
    refuse_filled(out)
    sources = assigned_sources(anatomies, lesion_masks, without_masks=without_masks, seed=seed)
    sites = benchmark_sites(seed)
    template = mni_anatomy(anatomy_grid(spacing_mm)) if anatomies is None else None
    table = []
    with whole_folder(out) as part:
        for number, (site, own) in enumerate(zip(sites, sources, strict=True)):
            brains = [
                replace(
                    label_map_anatomy(path, anatomy_grid(spacing_mm, LABEL_MAP_BOX_MM)),
                    sharpening=SHARPENING,
                    sulci=SULCI,
                )
                for path in own.anatomies
            ]
            rows = _write_site(
                part / site.site.name,
                site,
                brains if template is None else [template],
                own.lesion_masks,
                range(n_subjects * number, n_subjects * (number + 1)),
                grid,
                seed,
                on_subject,
            )
            table.append(_described(site, own, rows))
        record = {"seed": seed, "spacing_mm": spacing_mm, "sites": table}
        (part / TABLE).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return [out / name for name in ROLES]


def assigned_sources(
    anatomies: Path | None,
    lesion_masks: Path | None,
    *,
    without_masks: Sequence[str],
    seed: int,
) -> list[SiteSources]:
    """Which label maps and masks each of the nine sites gets, in the order of ROLES.

    ConfigError where a folder has too few for every site to get its own.
    """
    if lesion_masks is None and without_masks:
        raise ConfigError(
            f"masks to leave out ({', '.join(without_masks)}) without a folder of lesion masks. "
            "Name the folder with --lesion-masks, or leave --without-masks out."
        )
    brains: list[Path] = []
    if anatomies is not None:
        brains = shuffled(different_label_maps(anatomies), derived_seed(seed, "a"))
    masks: list[Path] = []
    if lesion_masks is not None:
        found = mni_lesion_masks(lesion_masks, without=without_masks, least_ml=LEAST_MASK_ML)
        masks = shuffled(found, derived_seed(seed, "lesion masks"))
    for folder, files, what in (
        (anatomies, brains, "label maps"),
        (lesion_masks, masks, "lesion masks"),
    ):
        if folder is not None and len(files) < len(ROLES):
            raise ConfigError(
                f"{folder}: want at least {len(ROLES)} {what}, so that no two sites share one, "
                f"found {len(files)}. Add some, or leave the folder out."
            )
    return [
        SiteSources(
            anatomies=tuple(brains[n :: len(ROLES)]), lesion_masks=tuple(masks[n :: len(ROLES)])
        )
        for n in range(len(ROLES))
    ]


def _write_site(
    folder: Path,
    site: BenchmarkSite,
    brains: Sequence[Anatomy],
    masks: Sequence[Path],
    numbers: range,
    grid: PhantomGrid,
    seed: int,
    on_subject: OnSubject | None,
) -> list[ParticipantRow]:
    scanner = site.site.scanner
    rows = []
    for place, (number, habit) in enumerate(
        zip(numbers, site.patients(len(numbers), seed), strict=True)
    ):
        label = f"sub-P{number + 1:03d}"
        rng = np.random.default_rng(derived_seed(seed, "benchmark subject", number))
        subject = _subject(place, brains[place % len(brains)], masks, habit, rng)
        row = write_subject(
            folder,
            label,
            images=scan(subject, scanner, grid=grid, seed=derived_seed(seed, "scan", number)),
            slice_mm={"FLAIR": scanner.flair.slice_mm, "T1w": scanner.t1w.slice_mm},
            lesion=lesion_mask(subject, grid),
            brain=stripped_mask(subject, scanner, grid),
            grid=grid,
        )
        rows.append(row)
        if on_subject is not None:
            on_subject(site.site.name, label)
    phantom = {
        "seed": seed,
        "spacing_mm": grid.spacing_mm[0],
        "role": site.role,
        "loads_ml": site.loads_ml,
        "scanner": asdict(scanner),
        "lesions": asdict(site.site.habit),
    }
    write_tables(folder, rows=rows, phantom=phantom)
    return rows


def _subject(
    place: int,
    average: Anatomy,
    masks: Sequence[Path],
    habit: LesionHabit | None,
    rng: np.random.Generator,
) -> Subject:
    """Subject `place` of a site; its masks are taken in turn, every second turn mirrored."""
    anatomy, deformation = individual(average, rng)
    if habit is None:
        return subject_of(anatomy, no_lesions(anatomy.grid), rng)
    if not masks:
        return subject_of(anatomy, drawn_lesions(anatomy, habit, rng), rng)
    turn, which = divmod(place, len(masks))
    share = lesion_share(masks[which], anatomy.grid, mirrored=turn % 2 == 1)
    mask = deformation.warped(share[None])[0]
    return subject_of(anatomy, masked_to_load(mask, anatomy, habit, rng), rng)


def _described(
    site: BenchmarkSite, own: SiteSources, rows: Sequence[ParticipantRow]
) -> dict[str, Any]:
    """One site of the table: a mask with what a patient's reference can be compared with."""
    return {
        "name": site.site.name,
        "role": site.role,
        "anatomies": [path.name for path in own.anatomies],
        "lesion_masks": {path.name: mask_record(path) for path in own.lesion_masks},
        "subjects": {row.participant_id: float(row.lesion_ml) for row in rows},
        "scanner": asdict(site.site.scanner),
        "lesions": asdict(site.site.habit),
    }
