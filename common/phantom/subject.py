"""A subject as every scanner finds it: anatomy, lesions, and what varies within normal tissue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from common.phantom.anatomy import Anatomy
from common.phantom.grid import Field, smooth_noise
from common.phantom.lesions import PhantomLesions
from common.phantom.surroundings import fine_grain, remnants, vessels


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """One person on the grid of `anatomy`; the fields below are (i, j, k).

    texture   relative variation of the signal within grey and white matter, mean about 0
    glow      bright in FLAIR and no lesion, as a share of the full lesion contrast: rims and caps
              of the ventricles, corticospinal tracts, dirty white matter around lesions
    plexus    share of the voxel that is choroid plexus, in the lateral ventricles
    flow      0 to 1, how far moving fluid escapes the nulling of FLAIR
    dura      0 to 1, what skull stripping left at the brain's edge
    grain     like texture, but from one millimetre to the next
    vessels   share of the voxel that is vessel: sinuses, arteries, perivascular spaces
    remnants  0 to 1 outside the brain, eyes and patches of skull: a stripping that is loose by
              more than 1 - remnants leaves the voxel in
    """

    anatomy: Anatomy
    lesions: PhantomLesions
    texture: Field
    glow: Field
    plexus: Field
    flow: Field
    dura: Field
    grain: Field
    vessels: Field
    remnants: Field


def subject_of(anatomy: Anatomy, lesions: PhantomLesions, rng: np.random.Generator) -> Subject:
    """The subject with this anatomy and these lesions; the rest is drawn."""
    (fine,) = rng.spawn(1)  # a stream of its own: the fields before it are drawn as ever
    return Subject(
        anatomy=anatomy,
        lesions=lesions,
        texture=_texture(anatomy, rng),
        glow=_glow(anatomy, lesions, rng),
        plexus=_plexus(anatomy, rng),
        flow=_flow(anatomy, rng),
        dura=_dura(anatomy, rng),
        grain=fine_grain(anatomy, fine),
        vessels=vessels(anatomy, fine),
        remnants=remnants(anatomy, fine),
    )


def _texture(anatomy: Anatomy, rng: np.random.Generator) -> Field:
    """Cortex differs by region (bright insula, cingulate, hippocampus), white matter by place."""
    grid = anatomy.grid
    regions = sum(
        (
            rng.uniform(*strength) * _pair(anatomy, centre, radius)
            for centre, radius, strength in _BRIGHT_CORTEX
        ),
        np.zeros(grid.shape, dtype=np.float32),
    )
    cortex = 0.05 * smooth_noise(rng, grid, scale_mm=7.0)
    cortex += 0.08 * smooth_noise(rng, grid, scale_mm=25.0) + regions
    deep = 0.05 * smooth_noise(rng, grid, scale_mm=9.0)
    white = 0.022 * smooth_noise(rng, grid, scale_mm=5.0)
    white += 0.035 * smooth_noise(rng, grid, scale_mm=22.0)
    texture = cortex * anatomy.fraction("cortex") + white * anatomy.fraction("white")
    texture += deep * anatomy.fraction("deep_grey")
    return texture.astype(np.float32)


def _glow(anatomy: Anatomy, lesions: PhantomLesions, rng: np.random.Generator) -> Field:
    solid = anatomy.fraction("white") + anatomy.fraction("deep_grey")
    rim = rng.uniform(0.15, 0.5) * np.exp(-np.maximum(anatomy.ventricle_mm - 0.5, 0.0) / 1.6)
    patchy = 0.75 + 0.35 * smooth_noise(rng, anatomy.grid, scale_mm=12.0)
    glow = rim * np.clip(patchy, 0.0, 1.5)
    for centre, radius, strength in _GLOWING_WHITE:
        glow += rng.uniform(*strength) * _pair(anatomy, centre, radius)
    spacing = anatomy.grid.spacing_mm[0]
    halo = ndimage.gaussian_filter(lesions.brightness, 3.0 / spacing, truncate=2.5)
    glow += rng.uniform(0.1, 0.35) * halo
    dirty = np.clip(smooth_noise(rng, anatomy.grid, scale_mm=8.0) - 1.6, 0.0, 1.0)
    glow += rng.uniform(0.1, 0.4) * dirty
    glowing: Field = (np.clip(glow, 0.0, 0.7) * solid).astype(np.float32)
    return glowing


def _plexus(anatomy: Anatomy, rng: np.random.Generator) -> Field:
    place = np.zeros(anatomy.grid.shape, dtype=np.float32)
    for centre, radius in (((23, -42, 9), 6.0), ((15, -30, 17), 5.0), ((5, -6, 14), 4.0)):
        place = np.maximum(place, _pair(anatomy, centre, radius))
    ragged = 0.15 * smooth_noise(rng, anatomy.grid, scale_mm=4.0)
    share = np.clip(4.0 * (place + ragged - rng.uniform(0.45, 0.75)), 0.0, 1.0)
    return (share * anatomy.fraction("ventricle")).astype(np.float32)


def _flow(anatomy: Anatomy, rng: np.random.Generator) -> Field:
    """Fluid moves in the third and fourth ventricles, before the brain stem and in the fissures."""
    flow = np.zeros(anatomy.grid.shape, dtype=np.float32)
    for centre, radius in (((0, -45, -32), 8.0), ((0, -15, 0), 7.0), ((0, -18, -32), 10.0)):
        flow += rng.uniform(0.0, 1.0) * _pair(anatomy, centre, radius)
    flow += np.clip(0.5 * smooth_noise(rng, anatomy.grid, scale_mm=10.0) - 0.6, 0.0, 0.8)
    return np.clip(flow, 0.0, 1.0).astype(np.float32)


def _dura(anatomy: Anatomy, rng: np.random.Generator) -> Field:
    spacing = anatomy.grid.spacing_mm[0]
    inside = ndimage.gaussian_filter(anatomy.brain, 2.5 / spacing, truncate=2.5)
    edge = np.clip(2.5 * (0.86 - inside), 0.0, 1.0)
    patches = np.clip(smooth_noise(rng, anatomy.grid, scale_mm=9.0) - 0.3, 0.0, 1.3)
    left_over: Field = (edge * patches).astype(np.float32)
    return left_over


def _pair(anatomy: Anatomy, centre: tuple[float, float, float], radius_mm: float) -> Field:
    """A soft ball on each side of the midline, 1 at its centre."""
    x, y, z = anatomy.grid.coordinates_mm()
    ball: Field = (
        np.exp(-0.5 * np.square((np.abs(x) - centre[0]) / radius_mm))
        * np.exp(-0.5 * np.square((y - centre[1]) / radius_mm))
        * np.exp(-0.5 * np.square((z - centre[2]) / radius_mm))
    )
    return ball


_BRIGHT_CORTEX = (
    ((38.0, 5.0, 0.0), 10.0, (0.10, 0.35)),
    ((5.0, 26.0, 22.0), 11.0, (0.05, 0.30)),
    ((5.0, -28.0, 38.0), 11.0, (0.05, 0.25)),
    ((25.0, -15.0, -20.0), 10.0, (0.10, 0.35)),
    ((45.0, 12.0, -28.0), 13.0, (0.05, 0.30)),
    ((10.0, -85.0, 2.0), 16.0, (-0.12, 0.0)),
    ((30.0, -25.0, 58.0), 14.0, (-0.12, 0.02)),
)
"""Centre in MNI mm, radius in mm, range of the relative change."""
_GLOWING_WHITE = (
    ((19.0, 31.0, 6.0), 4.0, (0.15, 0.7)),
    ((29.0, -62.0, 12.0), 5.0, (0.15, 0.7)),
    ((24.0, -22.0, 16.0), 3.5, (0.1, 0.5)),
    ((22.0, -24.0, 36.0), 5.0, (0.0, 0.3)),
    ((30.0, -48.0, 26.0), 9.0, (0.05, 0.3)),
    ((0.0, 10.0, 14.0), 3.5, (0.1, 0.5)),
)
"""Centre in MNI mm, radius in mm, range of the share of the full lesion contrast."""
