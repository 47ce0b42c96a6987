"""Scanners that differ, and the T2w one of them makes of a spinal cord."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.arrays import BoolArray
from common.imaging.centreline import near_centreline
from common.imaging.grid import Grid as VoxelGrid
from common.imaging.volume import Volume
from common.phantom.acquisition import Acquisition, strata
from common.phantom.cord_anatomy import FIELD_OF_VIEW_MM, CordAnatomy, painted
from common.phantom.cord_lesions import CordLesions
from common.phantom.grid import Field, PhantomGrid, resampled
from common.seeds import derived_seed

RADIUS_MM = 15.0
"""What is further from the centreline is 0, as after the recipe's step `cord`."""

Levels = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class CordScanner(Acquisition):
    """The T2w spin echo of one site, from the tissues' signal to stored numbers.

    levels        tissue -> signal; white matter about 0.38, fluid about 1
    lesion        signal of a lesion at full contrast
    flow          how much of the fluid's signal moving takes away, 0 to 1
    ghost         share of the fluid's signal that pulsation casts over the cord
    ghost_mm      how far the ghost is shifted
    ghost_axis    1 front-back, 2 head-foot: the direction of phase encoding
    """

    levels: Levels
    lesion: float
    flow: float
    ghost: float
    ghost_mm: float
    ghost_axis: int


def drawn_cord_scanners(n: int, seed: int) -> list[CordScanner]:
    """`n` different scanners from one distribution; the same seed draws the same ones.

    Each parameter's range is cut in `n` equal parts and every scanner gets another part (Latin
    hypercube). Two in three scan sagittal slices, the third axial ones.
    """
    drawn = {
        name: np.round(low + (high - low) * strata(n, derived_seed(seed, "cord", name)), 4)
        for name, (low, high) in _RANGES.items()
    }
    first = derived_seed(seed, "cord", "axial") % 3
    return [
        _scanner({name: float(values[i]) for name, values in drawn.items()}, (i + first) % 3 == 0)
        for i in range(n)
    ]


def scan_cord(
    anatomy: CordAnatomy,
    lesions: CordLesions,
    scanner: CordScanner,
    *,
    region: BoolArray,
    target: PhantomGrid,
    seed: int,
) -> Volume:
    """The T2w on `target`, int16, 0 outside the region and at least 1 in it.

    Noise, bias field and slice position come from `seed` alone.
    """
    rng = np.random.default_rng(derived_seed(seed, "cord", "scan"))
    seen = scanner.acquired(
        _signal(anatomy, lesions, scanner),
        anatomy.frame.grid,
        target=target,
        box_mm=FIELD_OF_VIEW_MM,
        bias_scale_mm=60.0,
        rng=rng,
    )
    return Volume(scanner.stored(seen, region), target.affine)


def cord_mask(anatomy: CordAnatomy, target: PhantomGrid) -> BoolArray:
    """Where at least half of a voxel of `target` is spinal cord."""
    return resampled(anatomy.cord, anatomy.frame.grid, target) > 0.5


def cord_lesion_mask(anatomy: CordAnatomy, lesions: CordLesions, target: PhantomGrid) -> BoolArray:
    """The reference: where more than half of a voxel of `target` is lesion."""
    return resampled(lesions.fraction, anatomy.frame.grid, target) > 0.5


def near_cord(anatomy: CordAnatomy, target: PhantomGrid) -> BoolArray:
    """The voxels of `target` within RADIUS_MM of the centreline."""
    grid = VoxelGrid(target.shape, target.affine)
    near: BoolArray = near_centreline(anatomy.frame.nodes, grid, radius_mm=RADIUS_MM).data.astype(
        np.bool_
    )
    return near


def _signal(anatomy: CordAnatomy, lesions: CordLesions, scanner: CordScanner) -> Field:
    """Tissues and lesions, with fluid that moved missing where it was and seen elsewhere."""
    signal = painted(anatomy.layers, scanner.levels, anatomy.cord.shape)
    bright = np.maximum(scanner.lesion - signal, 0.0)
    signal += lesions.brightness * bright
    lost = scanner.flow * anatomy.void * (1.0 - anatomy.cord)
    signal *= 1.0 - lost
    grid = anatomy.frame.grid
    step = round(scanner.ghost_mm / grid.spacing_mm[scanner.ghost_axis])
    fluid = anatomy.void * scanner.levels["csf"]
    for shift in (-step, step):
        signal += 0.5 * scanner.ghost * np.roll(fluid, shift, axis=scanner.ghost_axis)
    return signal


_RANGES = {
    "csf": (0.85, 1.1),
    "white": (0.34, 0.42),
    "grey": (1.08, 1.24),
    "lesion": (1.7, 2.1),
    "canal": (1.0, 1.5),
    "fat": (0.5, 0.85),
    "marrow": (0.3, 0.5),
    "nucleus": (0.4, 0.75),
    "muscle": (0.16, 0.26),
    "flow": (0.3, 0.8),
    "ghost": (0.03, 0.12),
    "ghost_mm": (5.0, 11.0),
    "gamma": (0.75, 1.3),
    "gain": (300.0, 2500.0),
    "offset": (0.0, 100.0),
    "bias_field": (0.08, 0.2),
    "noise": (0.015, 0.045),
    "sagittal_in_plane_mm": (0.6, 0.9),
    "sagittal_slice_mm": (1.4, 2.6),
    "axial_in_plane_mm": (0.5, 0.8),
    "axial_slice_mm": (2.5, 4.5),
}
"""Lowest and highest value a scanner may have. `grey`, `lesion` and `canal` are shares of white
matter. All chosen, by eye, so that no single threshold finds the lesions: fluid and fat are
brighter, and the cord's edge is as bright as a lesion where a voxel holds half fluid."""


def _scanner(value: dict[str, float], axial: bool) -> CordScanner:
    white = value["white"]
    kind = "axial" if axial else "sagittal"
    return CordScanner(
        levels={
            "muscle": value["muscle"],
            "fat": value["fat"],
            "ligament": 0.12,
            "bone": 0.06,
            "marrow": value["marrow"],
            "annulus": 0.14,
            "nucleus": value["nucleus"],
            "csf": value["csf"],
            "white": white,
            "grey": round(white * value["grey"], 4),
            "canal": round(white * value["canal"], 4),
        },
        lesion=round(white * value["lesion"], 4),
        flow=value["flow"],
        ghost=value["ghost"],
        ghost_mm=value["ghost_mm"],
        ghost_axis=1 if axial else 2,
        gamma=value["gamma"],
        gain=value["gain"],
        offset=value["offset"],
        bias_field=value["bias_field"],
        noise=value["noise"],
        in_plane_mm=value[f"{kind}_in_plane_mm"],
        slice_mm=value[f"{kind}_slice_mm"],
        slice_axis=2 if axial else 0,
    )
