"""Lesions of the spinal cord: ovoids along it, most of them at its edge."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from common.phantom.cord_anatomy import CordAnatomy
from common.phantom.grid import Field, smooth_noise

MOST = 10
"""Lesions a subject has at the most."""
PLACES = ((0.0, -0.75, 0.30), (0.62, -0.25, 0.45), (0.60, 0.35, 0.15), (0.15, 0.1, 0.10))
"""Side and front in shares of the cord's half width and depth, and how often: dorsal columns,
lateral columns, in front, in the middle. Chosen after the usual picture of MS in the cord:
peripheral, dorsal and lateral."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CordHabit:
    """How cord lesions come at one site.

    number     mean number of lesions of a patient; 1 to MOST
    length_mm  median length along the cord
    faintest   contrast of the faintest lesion, as a share of the full contrast
    edge_mm    over how many mm the contrast fades at a lesion's border
    """

    number: float
    length_mm: float
    faintest: float
    edge_mm: float


@dataclass(frozen=True, slots=True, eq=False)
class CordLesions:
    """One subject's cord lesions, each field (i, j, k).

    fraction     share of the voxel that is lesion: what the reference is made of
    brightness   0 to 1, how much of the full T2w contrast a voxel shows; a faint haze here and
                 there is no lesion
    """

    fraction: Field
    brightness: Field


def no_cord_lesions(anatomy: CordAnatomy, rng: np.random.Generator) -> CordLesions:
    """Nothing to find but the haze."""
    return CordLesions(np.zeros(anatomy.cord.shape, np.float32), _haze(anatomy, rng))


def drawn_cord_lesions(
    anatomy: CordAnatomy, habit: CordHabit, rng: np.random.Generator
) -> CordLesions:
    """1 to MOST lesions, on the anatomy's grid; they may touch and run together."""
    frame = anatomy.frame
    side, front = frame.right / anatomy.radius[0], frame.front / anatomy.radius[1]
    z = frame.grid.coordinates_mm()[2]
    ragged = 0.16 * smooth_noise(rng, frame.grid, scale_mm=2.5)
    fraction = np.zeros(anatomy.cord.shape, np.float32)
    brightness = _haze(anatomy, rng)
    often = np.array([place[2] for place in PLACES])
    for _ in range(min(MOST, 1 + int(rng.poisson(habit.number - 1)))):
        at_side, at_front, _ = PLACES[rng.choice(len(PLACES), p=often)]
        at_side = at_side * int(rng.choice((-1, 1))) + rng.normal(0.0, 0.1)
        at_front = at_front + rng.normal(0.0, 0.1)
        half_mm = 0.5 * min(max(habit.length_mm * math.exp(rng.normal(0.0, 0.45)), 5.0), 34.0)
        wide, deep = rng.uniform(0.36, 0.56), rng.uniform(0.46, 0.70)
        middle = rng.uniform(float(z.min()) + 6.0, float(z.max()) - 6.0)
        near = np.abs(z.ravel() - middle) < 1.6 * half_mm
        radius = np.sqrt(
            np.square((side[..., near] - at_side) / wide)
            + np.square((front[..., near] - at_front) / deep)
            + np.square((z[..., near] - middle) / half_mm)
        )
        depth_mm = min(wide, deep) * anatomy.radius[1][..., near]
        inside_mm = (1.0 - radius + ragged[..., near]) * depth_mm
        cord = anatomy.cord[..., near]
        share = np.clip(0.5 + inside_mm / 0.5, 0.0, 1.0) * cord
        seen = rng.uniform(habit.faintest, 1.0) * np.clip(0.5 + inside_mm / habit.edge_mm, 0.0, 1.0)
        fraction[..., near] = np.maximum(fraction[..., near], share)
        brightness[..., near] = np.maximum(brightness[..., near], seen * cord)
    return CordLesions(fraction, brightness)


def _haze(anatomy: CordAnatomy, rng: np.random.Generator) -> Field:
    """Patches of cord that are a little bright and no lesion."""
    patches = np.clip(smooth_noise(rng, anatomy.frame.grid, scale_mm=7.0) - 0.9, 0.0, 1.0)
    haze: Field = (rng.uniform(0.1, 0.4) * patches * anatomy.cord).astype(np.float32)
    return haze
