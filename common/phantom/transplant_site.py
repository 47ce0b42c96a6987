"""A site of training subjects whose tissue is real and whose lesions are transplanted."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from common.arrays import BoolArray, FloatArray
from common.errors import ConfigError, SiteDataError
from common.imaging.dataset.drawn_reference import RECORD
from common.imaging.dataset.prepared import CaseImages, read_case
from common.imaging.intake.intake import examine
from common.imaging.intake.usable_case import UsableCase
from common.imaging.volume import Volume
from common.phantom.grid import Field
from common.phantom.lesions import LesionHabit, drawn_lesions
from common.phantom.real_tissue import RealTissue, real_tissue
from common.phantom.sources import mask_record, mni_lesion_masks, on_mni_grid, shuffled
from common.phantom.transplant import Transplant, share_of_mask, transplanted
from common.phantom.transplant_folder import TransplantCase, write_description, write_transplant
from common.phantom.whole_folder import refuse_filled, whole_folder
from common.recipe.task import Task
from common.seeds import derived_seed

Side = Literal["left", "right", "both"]
OnCase = Callable[[int, int], None]

DRAWN_LOAD_ML = (1.0, 40.0)
"""Lesion volume of a drawn patient, each order of magnitude as likely. Chosen: 22 patients of
Lesjak et al. 2017 have 0.66 to 50 mL."""
MIDDLE_MM = 1.0
"""So far from the midline a half begins. Chosen: the falx and what lies across it stay out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransplantPlan:
    """What is put into each brain.

    per_subject     copies with lesions that each case gets, 1 to 98 (numbers of two digits)
    side            the half that is kept; both: the whole brain, and controls alone
    lesion_masks    folder of masks on the MNI152 1 mm grid; None: lesions are drawn
    without_masks   masks of that folder to leave out, as in `mni_lesion_masks`
    seed            the same seed makes the same files
    """

    per_subject: int
    side: Side
    lesion_masks: Path | None
    without_masks: Sequence[str]
    seed: int

    def __post_init__(self) -> None:
        if not 1 <= self.per_subject <= 98:
            raise ConfigError(f"--per-subject: want 1 to 98, got {self.per_subject}")
        if self.without_masks and self.lesion_masks is None:
            raise ConfigError(
                "--without-masks names masks that --lesion-masks may not use, and there is no "
                "--lesion-masks: lesions are drawn. Leave it out, or give both."
            )


def make_transplant_site(
    source: Path,
    out: Path,
    plan: TransplantPlan,
    *,
    modalities: tuple[str, ...],
    on_case: OnCase | None = None,
) -> list[TransplantCase]:
    """The cases written to `out`: each brain of `source` without lesions once, and with lesions.

    source       a prepared folder: stripped images on one grid, axes along the world's
    out          a new or empty folder; it appears complete or not at all
    modalities   FLAIR, or FLAIR and T1w
    on_case      called after each brain with the number done and the number of brains
    All copies of one brain are sessions of its subject, so that no part of a split gets one while
    another part gets the other. A copy in which no lesion found room is left out.
    SiteDataError where no case can be used or no mask is left.
    """
    refuse_filled(out)
    if modalities not in (("FLAIR",), ("FLAIR", "T1w")):
        raise ConfigError(f"--modalities: want FLAIR or FLAIR,T1w, got {','.join(modalities)}")
    cases = _lesion_free(source, modalities, plan.side)
    masks = _masks(plan)
    written: list[TransplantCase] = []
    with whole_folder(out) as part:
        for done, usable in enumerate(cases):
            written += _copies(part, usable, plan, masks, first=done * plan.per_subject)
            if on_case is not None:
                on_case(done + 1, len(cases))
        write_description(part, written, seed=plan.seed, side=plan.side)
    return written


def scanner_voxel_mm(image: Path, spacing_mm: FloatArray) -> tuple[float, float, float]:
    """Size of the voxels that the scanner acquired, along the axes of a prepared upright image, mm.

    image        the prepared file; its sidecar says how it lay in the scanner
    spacing_mm   of the image: the answer where no sidecar says more
    Each scanner axis counts for the image axis that it lies closest to (chosen).
    """
    sidecar = image.with_name(image.name.split(".nii")[0] + ".json")
    found = [float(mm) for mm in spacing_mm]
    if not sidecar.is_file():
        return found[0], found[1], found[2]
    try:
        record = json.loads(sidecar.read_text(encoding="utf-8")).get(RECORD, {})
        if "ScannerAffine" not in record:
            return found[0], found[1], found[2]
        own, move = (
            np.array(record[key], dtype=np.float64) for key in ("ScannerAffine", "ScannerToCommon")
        )
        axes = move[:3, :3] @ own[:3, :3]
        if axes.shape != (3, 3) or not np.isfinite(axes).all():
            raise ValueError("no affine")
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise SiteDataError(
            f"{sidecar}: want what `lesionfed-site prepare` writes beside an image, cannot read it "
            f"({error}). Prepare the case again."
        ) from error
    for column in axes.T:
        axis = int(np.abs(column).argmax())
        found[axis] = max(found[axis], float(np.linalg.norm(column)))
    return found[0], found[1], found[2]


def _masks(plan: TransplantPlan) -> list[Path]:
    """The masks in the order in which they are used; none where lesions are drawn."""
    if plan.lesion_masks is None:
        return []
    masks = mni_lesion_masks(plan.lesion_masks, without=plan.without_masks)
    return shuffled(masks, derived_seed(plan.seed, "lesion masks"))


def _lesion_free(source: Path, modalities: tuple[str, ...], side: Side) -> list[UsableCase]:
    usable = examine(source, task=Task(modalities=modalities)).usable
    free = [case for case in usable if not case.n_lesion_voxels]
    taken = [case for case in free if case.control] if side == "both" else free
    if not taken:
        raise SiteDataError(
            f"{source}: want brains without lesions, found none. Of {len(usable)} cases "
            f"{len(usable) - len(free)} have lesions in their reference, and the other "
            f"{len(free)} are not healthy by the column diagnosis of participants.tsv. Write there "
            "who is healthy, or give --side left or right where one half of every brain is."
        )
    return taken


def _copies(
    out: Path, usable: UsableCase, plan: TransplantPlan, masks: Sequence[Path], *, first: int
) -> list[TransplantCase]:
    """The brain once as it is, then its copies with lesions."""
    case = read_case(usable)
    slice_mm = {
        modality: scanner_voxel_mm(path, case.brain.spacing_mm)
        for modality, path in usable.images.items()
    }
    try:
        tissue = real_tissue(case.images, case.brain)
    except SiteDataError as error:
        raise SiteDataError(f"{usable.name}: {error}", code=error.code) from None
    kept = _half(case.brain, tissue, plan.side)
    tissue = tissue.within(kept)
    healthy = Transplant(case.images, np.zeros_like(kept))
    written = [_written(out, usable, 1, healthy, kept, case, slice_mm, {"lesions": "none"})]
    for copy in range(plan.per_subject):
        number = first + copy
        seed = derived_seed(plan.seed, "transplant", usable.name, copy)
        rng = np.random.default_rng(seed)
        share, about = _share(tissue, masks, number, rng)
        made = transplanted(case.images, tissue, share, slice_mm=slice_mm, rng=rng)
        if made.reference.any():
            written.append(_written(out, usable, copy + 2, made, kept, case, slice_mm, about))
    return written


def _share(
    tissue: RealTissue, masks: Sequence[Path], number: int, rng: np.random.Generator
) -> tuple[Field, dict[str, Any]]:
    """The share of each voxel that is to be lesion, and where it comes from, for the record."""
    if not masks:
        low, high = (math.log(ml) for ml in DRAWN_LOAD_ML)
        habit = LesionHabit(
            load_ml=float(np.exp(rng.uniform(low, high))),
            size=float(rng.uniform(0.8, 1.6)),
            periventricular=float(rng.uniform(0.3, 0.6)),
            juxtacortical=0.2,
            faintest=1.0,
            edge_mm=1.0,
        )
        return drawn_lesions(tissue.anatomy, habit, rng).fraction, {"lesions": "drawn"}
    turn, place = divmod(number, len(masks))
    mask, mirrored = masks[place], turn % 2 == 1
    about = {
        "lesions": mask.name,
        "mirrored": mirrored,
        **mask_record(mask),
    }
    return share_of_mask(on_mni_grid(mask, mirrored=mirrored), tissue.anatomy), about


def _half(brain: Volume, tissue: RealTissue, side: Side) -> BoolArray:
    """The brain, or its left or right half as the box of the brain has its middle."""
    inside: BoolArray = brain.data.astype(np.bool_)
    if side == "both":
        return inside
    x_mm = tissue.anatomy.grid.axis_mm(0)
    wanted = x_mm < -MIDDLE_MM if side == "left" else x_mm > MIDDLE_MM
    return inside & wanted[:, None, None]


def _written(
    out: Path,
    usable: UsableCase,
    number: int,
    made: Transplant,
    kept: BoolArray,
    case: CaseImages,
    slice_mm: dict[str, tuple[float, float, float]],
    about: dict[str, Any],
) -> TransplantCase:
    images = {
        modality: Volume(np.where(kept, image.data, np.float32(0)), image.affine)
        for modality, image in made.images.items()
    }
    written = TransplantCase(
        subject=usable.subject,
        session=f"{usable.session or 'ses-'}{number:02d}",
        source=usable.name,
        about={**about, "acquired_mm": slice_mm},
    )
    return write_transplant(
        out,
        written,
        images=images,
        reference=Volume(made.reference, case.brain.affine),
        brain=Volume(kept, case.brain.affine),
    )
