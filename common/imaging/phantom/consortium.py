"""A consortium of phantom sites on disk: one BIDS dataset a site, each with its own scanner."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from common.errors import ConfigError
from common.imaging.phantom.anatomy import (
    Anatomy,
    individual,
    label_map_anatomy,
    mni_anatomy,
)
from common.imaging.phantom.grid import Grid, anatomy_grid, common_grid
from common.imaging.phantom.lesions import (
    LesionHabit,
    drawn_lesions,
    masked_lesions,
    no_lesions,
)
from common.imaging.phantom.scanner import Scanner, brain_mask, drawn_scanners, lesion_mask, scan
from common.imaging.phantom.sources import lesion_share, mirrored, mni_lesion_masks, nifti_files
from common.imaging.phantom.subject import Subject, subject_of
from common.imaging.volume import Volume, write_volume
from common.seeds import derived_seed

HEALTHY_EVERY = 8
"""Every so many subjects of a site, one has no lesions."""

Mask = NDArray[np.bool_]
OnSubject = Callable[[str, str], None]
"""Called with site and subject after each subject is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomSite:
    """One site of a phantom consortium: its name, its scanner, its patients."""

    name: str
    scanner: Scanner
    habit: LesionHabit


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sources:
    """What subjects are made from, loaded once."""

    grid: Grid
    anatomies: tuple[Anatomy, ...]
    lesion_masks: tuple[Path, ...]


def make_consortium(
    out: Path,
    *,
    n_sites: int,
    n_subjects: int,
    seed: int,
    spacing_mm: float,
    anatomies: Path | None = None,
    lesion_masks: Path | None = None,
    on_subject: OnSubject | None = None,
) -> list[Path]:
    """The folders of `n_sites` new BIDS datasets under `out`, each with `n_subjects` subjects.

    out            a new or empty folder; it appears complete or not at all
    spacing_mm     of the one grid all images come on
    anatomies      folder of FreeSurfer label maps to use as brains; the MNI template if absent
    lesion_masks   folder of lesion masks in MNI space to use as lesions; drawn if absent
    The same arguments give the same files.
    """
    if n_sites < 1 or n_subjects < 1:
        raise ConfigError(
            f"want at least 1 site and 1 subject a site, got {n_sites} and {n_subjects}"
        )
    _refuse_filled(out)
    grid = common_grid(spacing_mm)
    sources = _load_sources(anatomy_grid(spacing_mm), anatomies, lesion_masks)
    part = out.with_name(f".{out.name}.{secrets.token_hex(4)}.part")
    part.mkdir(parents=True)
    try:
        for done, site in enumerate(drawn_sites(n_sites, seed)):
            first = n_subjects * done
            _write_site(
                part / site.name,
                site,
                sources,
                grid,
                numbers=range(first, first + n_subjects),
                seed=seed,
                on_subject=on_subject,
            )
        if out.exists():
            out.rmdir()
        part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return [out / f"site-{index}" for index in range(1, n_sites + 1)]


def drawn_sites(n: int, seed: int) -> list[PhantomSite]:
    """`n` sites named site-1, site-2, ...: scanners and patients that differ."""
    rng = np.random.default_rng(derived_seed(seed, "patients"))
    loads, sizes, faintest, edges, periventricular = (
        (rng.permutation(n) + rng.random(n)) / n for _ in range(5)
    )
    return [
        PhantomSite(
            name=f"site-{i + 1}",
            scanner=scanner,
            habit=LesionHabit(
                load_ml=round(float(8.0 * (16.0 / 8.0) ** loads[i]), 2),
                size=round(float(1.6 * 2.0 ** sizes[i]), 3),
                periventricular=round(float(0.3 + 0.25 * periventricular[i]), 3),
                juxtacortical=0.2,
                faintest=round(float(0.45 + 0.25 * faintest[i]), 3),
                edge_mm=round(float(0.8 + 1.2 * edges[i]), 3),
            ),
        )
        for i, scanner in enumerate(drawn_scanners(n, seed))
    ]


def _load_sources(grid: Grid, anatomies: Path | None, lesion_masks: Path | None) -> _Sources:
    brains = (
        (mni_anatomy(grid),)
        if anatomies is None
        else tuple(label_map_anatomy(path, grid) for path in nifti_files(anatomies))
    )
    masks = () if lesion_masks is None else tuple(mni_lesion_masks(lesion_masks))
    return _Sources(grid=grid, anatomies=brains, lesion_masks=masks)


def _make_subject(
    sources: _Sources, habit: LesionHabit, *, number: int, seed: int, healthy: bool
) -> Subject:
    """Subject `number` of the consortium; real brains and real masks are dealt in turn."""
    rng = np.random.default_rng(derived_seed(seed, "subject", number))
    atlas = sources.anatomies[number % len(sources.anatomies)]
    anatomy, deformation = individual(atlas, rng)
    if healthy:
        lesions = no_lesions(anatomy.grid)
    elif sources.lesion_masks:
        n_masks = len(sources.lesion_masks)
        share = lesion_share(sources.lesion_masks[number % n_masks], sources.grid)
        if (number // n_masks) % 2:
            share = mirrored(share)
        lesions = masked_lesions(deformation.carried(share[None])[0], anatomy, habit, rng)
    else:
        lesions = drawn_lesions(anatomy, habit, rng)
    return subject_of(anatomy, lesions, rng)


def _write_site(
    folder: Path,
    site: PhantomSite,
    sources: _Sources,
    grid: Grid,
    *,
    numbers: Sequence[int],
    seed: int,
    on_subject: OnSubject | None,
) -> None:
    derivatives = folder / "derivatives" / "lesions"
    derivatives.mkdir(parents=True)
    rows = []
    for place, number in enumerate(numbers, start=1):
        label = f"sub-P{number + 1:03d}"
        healthy = place % HEALTHY_EVERY == 0
        subject = _make_subject(sources, site.habit, number=number, seed=seed, healthy=healthy)
        images = scan(subject, site.scanner, grid=grid, seed=derived_seed(seed, "scan", number))
        lesion = lesion_mask(subject, grid)
        _write_images(folder / label / "anat", label, images, site.scanner)
        _write_masks(derivatives / label / "anat", label, lesion, brain_mask(subject, grid), grid)
        n_lesions = int(ndimage.label(lesion, structure=np.ones((3, 3, 3)))[1])
        load_ml = float(lesion.sum() * np.prod(grid.spacing_mm) / 1000.0)
        rows.append(
            (label, site.name, "healthy" if healthy else "MS-RR", str(n_lesions), f"{load_ml:.2f}")
        )
        if on_subject is not None:
            on_subject(site.name, label)
    _write_tables(folder, derivatives, site, grid, rows, seed)


def _write_images(folder: Path, label: str, images: dict[str, Volume], scanner: Scanner) -> None:
    folder.mkdir(parents=True)
    for suffix, image in images.items():
        write_volume(image, folder / f"{label}_{suffix}.nii.gz")
        sequence = scanner.flair if suffix == "FLAIR" else scanner.t1w
        about = {
            "SkullStripped": True,
            "SpatialReference": "MNI152",
            "SliceThickness": sequence.slice_mm,
            "Simulated": True,
        }
        _write_json(folder / f"{label}_{suffix}.json", about)


def _write_masks(folder: Path, label: str, lesion: Mask, brain: Mask, grid: Grid) -> None:
    folder.mkdir(parents=True)
    about = {"Type": "Lesion", "Description": "more than half of the voxel is lesion, simulated"}
    for desc, mask, sidecar in (("lesion", lesion, about), ("brain", brain, {"Type": "Brain"})):
        stem = f"{label}_desc-{desc}_mask"
        write_volume(Volume(mask, grid.affine), folder / f"{stem}.nii.gz")
        _write_json(folder / f"{stem}.json", sidecar)


def _write_tables(
    folder: Path,
    derivatives: Path,
    site: PhantomSite,
    grid: Grid,
    rows: list[tuple[str, ...]],
    seed: int,
) -> None:
    header = ("participant_id", "site", "diagnosis", "lesion_count", "lesion_ml")
    lines = ["\t".join(row) for row in [header, *rows]]
    (folder / "participants.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    _write_json(
        folder / "participants.json",
        {
            "site": {"Description": "the phantom site"},
            "diagnosis": {"Levels": {"MS-RR": "has lesions", "healthy": "has none"}},
            "lesion_count": {"Description": "26-connected components of the lesion mask"},
            "lesion_ml": {"Units": "mL"},
        },
    )
    about = {"Name": f"{site.name}: phantoms, no person's images", "BIDSVersion": "1.9.0"}
    maker = {"GeneratedBy": [{"Name": "lesionfed phantom"}]}
    _write_json(folder / "dataset_description.json", about | {"DatasetType": "raw"} | maker)
    _write_json(
        derivatives / "dataset_description.json",
        {"Name": f"{site.name}: lesions", "BIDSVersion": "1.9.0", "DatasetType": "derivative"}
        | maker,
    )
    _write_json(
        folder / "phantom.json",
        {
            "seed": seed,
            "spacing_mm": grid.spacing_mm[0],
            "scanner": asdict(site.scanner),
            "lesions": asdict(site.habit),
        },
    )


def _write_json(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _refuse_filled(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(
            f"{out}: want a new or empty folder for the phantoms, found something there. "
            "Choose another folder or empty this one."
        )
