"""Orientation, spacing, slice thickness, other grids: what to know before images are used."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common.files import limited_bytes
from common.imaging.bids_name import MOST_SIDECAR_BYTES
from common.imaging.intake.findings import Finding, first_of
from common.imaging.intake.usable_case import OpenCase
from common.imaging.orientation import orientation_of, upright
from common.imaging.volume import VolumeFault, grid_text, read_volume, same_grid

THICK_MM = 4.0
"""Slices farther apart than this blur lesions of a few millimetres away; chosen."""

ANISOTROPIC = 2.0
"""Longest spacing over the shortest, above which it is worth a note; chosen."""

PLAUSIBLE_MM = (0.2, 12.0)
"""Spacing outside is most likely a wrong unit; chosen."""

SIDECAR_TOLERANCE = 0.05
"""Part by which sidecar and header may differ; chosen."""


def orientations_agree(case: OpenCase) -> Iterator[Finding]:
    """A note when the axes of the modalities run to different sides of the patient."""
    axes = {name: orientation_of(case.grid_on_disk(name)) for name in case.images}
    if len(set(axes.values())) > 1:
        listed = ", ".join(f"{name} {code}" for name, code in axes.items())
        yield case.finding(
            "note",
            "orientation",
            text=f"the voxel axes of the modalities run to different sides: {listed}",
            fix="Nothing to do: every image is turned to the same order as it is read.",
        )


def slices_are_thin(case: OpenCase) -> Iterator[Finding]:
    """A warning for thick slices or a spacing no scanner has, a note for long voxels."""
    long_voxels = []
    for modality, image in case.images.items():
        shortest, longest = float(image.spacing_mm.min()), float(image.spacing_mm.max())
        spacing = " x ".join(f"{mm:.2f}" for mm in image.spacing_mm)
        if shortest < PLAUSIBLE_MM[0] or longest > PLAUSIBLE_MM[1]:
            yield case.finding(
                "warning",
                "odd-spacing",
                text=f"{modality}: spacing {spacing} mm, want {PLAUSIBLE_MM[0]:g} to "
                f"{PLAUSIBLE_MM[1]:g} mm",
                fix="Check the unit of the header, and whether slices are missing.",
            )
        elif longest > THICK_MM:
            yield case.finding(
                "warning",
                "thick-slices",
                text=f"{modality}: slices {longest:.2f} mm apart ({spacing} mm), more than "
                f"{THICK_MM:g} mm: small lesions are missed or smeared",
                fix="Use a thinner series of the same visit, if there is one.",
            )
        elif longest > ANISOTROPIC * shortest:
            long_voxels.append(f"{modality} {spacing} mm")
    if long_voxels:
        yield case.finding(
            "note",
            "anisotropic",
            text=f"voxels are much longer than wide: {', '.join(long_voxels)}",
            fix="Nothing to do: lesionfed-site prepare resamples them.",
        )


def sidecar_fits_the_header(case: OpenCase) -> Iterator[Finding]:
    """A warning when the JSON beside an image gives another slice distance than its header."""
    for modality, image in case.images.items():
        sidecar = _sidecar(case.files.images[modality])
        apart = sidecar.get("SpacingBetweenSlices", None)
        thickness = sidecar.get("SliceThickness", None)
        if _is_length(apart) and np.abs(image.spacing_mm / apart - 1).min() > SIDECAR_TOLERANCE:
            spacing = " x ".join(f"{mm:.2f}" for mm in image.spacing_mm)
            yield case.finding(
                "warning",
                "sidecar-spacing",
                text=f"{modality}: the sidecar's SpacingBetweenSlices is {apart:g} mm, the header "
                f"has {spacing} mm",
                fix="Find out which is right: the sidecar may belong to another series.",
            )
        elif _is_length(apart) and _is_length(thickness) and thickness < apart * 0.95:
            yield case.finding(
                "note",
                "slice-gap",
                text=f"{modality}: slices of {thickness:g} mm lie {apart:g} mm apart, with a gap "
                f"of {apart - thickness:.2g} mm between",
                fix="Nothing to do; a lesion in a gap is not seen.",
            )


def grids_elsewhere(case: OpenCase, masks: Sequence[Path]) -> Iterator[Finding]:
    """A note on each grid that the subject's `space-` masks lie on, beside the image's."""
    if case.first is None:
        return
    first, image = case.first
    by_grid: dict[str, list[Path]] = defaultdict(list)
    for path in masks:
        try:
            mask = upright(read_volume(path))
        except VolumeFault as fault:
            text = f"{case.shown(path)}: {fault.what}"
            yield case.finding("warning", fault.code, text=text, fix=fault.fix)
        else:
            on = f"the grid of {first}" if same_grid(mask, image) else f"another grid than {first}"
            by_grid[f"{on}; masks: {grid_text(mask)}"].append(path)
    for grid, paths in by_grid.items():
        yield case.finding(
            "note",
            "mask-elsewhere",
            text=f"{first_of([path.name for path in paths])}: on {grid}; "
            f"{first}: {grid_text(image)}",
            fix="Nothing to do unless it should be used.",
        )


def _sidecar(image: Path) -> Mapping[str, Any]:
    """The JSON object beside the image, or an empty one; privacy_checks names those unreadable."""
    path = image.with_name(image.name.removesuffix(".gz").removesuffix(".nii") + ".json")
    try:
        content = json.loads(limited_bytes(path, MOST_SIDECAR_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _is_length(value: object) -> bool:
    """Whether a value of a sidecar is a length above 0; JSON's NaN is none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e6
