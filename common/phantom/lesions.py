"""Multiple-sclerosis lesions: drawn by a spatial prior, or taken from a real mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from common.arrays import FloatArray
from common.phantom.anatomy import Anatomy
from common.phantom.grid import Field, PhantomGrid, smooth_noise

VOLUME_QUANTILES = (
    (0.05, 1.0),
    (0.25, 6.0),
    (0.50, 16.0),
    (0.75, 44.0),
    (0.95, 237.0),
    (0.99, 1956.0),
    (1.0, 4000.0),
)
"""Share of lesions below a volume in mm3. Source: 22 patients of Lesjak et al. 2017,
doi:10.1007/s12021-017-9348-7, 26-connected at 1 mm; the last pair is chosen."""
LEAST_SHARE = 0.4
"""Drawn lesions leave out this smallest share (under 11 mm3): below one voxel of 2 mm."""
LOADS_MM3 = (500.0, 90_000.0)
"""Least and largest load of a patient who has lesions."""
LARGEST_AWAY_MM3 = 250.0
"""Drawn lesions away from the ventricles stay below this; large ones are periventricular."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionHabit:
    """How lesions come at one site: who its patients are, and how far their disease is.

    load_ml             median lesion volume of a patient, 0.5 to 90
    size                factor on the volumes of single lesions
    periventricular     share of lesions at the lateral ventricles
    juxtacortical       share of lesions at the cortex; the rest lies deep, one in 20 below the tent
    faintest            contrast of the faintest lesion, as a share of the full contrast
    edge_mm             over how many mm the contrast fades at a lesion's border
    spread              standard deviation of the logarithm of the patients' load
    least_share         lesions leave out this smallest share of the volumes
    confluent           share of the load that is one lesion around both lateral ventricles
    core                0 to 1, how far the contrast falls from a large lesion's border to its core
    """

    load_ml: float
    size: float
    periventricular: float
    juxtacortical: float
    faintest: float
    edge_mm: float
    spread: float = 0.45
    least_share: float = LEAST_SHARE
    confluent: float = 0.0
    core: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class PhantomLesions:
    """One subject's lesions on the grid of an anatomy, each field (i, j, k).

    fraction     share of the voxel that is lesion: what a reference mask is made of
    brightness   0 to 1, how much of the full FLAIR contrast a voxel shows
    darkness     0 to 1, how much of the full T1w contrast a voxel shows
    """

    fraction: Field
    brightness: Field
    darkness: Field


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Lesion:
    """One drawn lesion, inside a box of the anatomy's grid.

    box          slices along i, j and k
    outside_mm   (i, j, k) of the box, how far outside its border a voxel lies; below 0 inside
    ground       (i, j, k) of the box, how much of each voxel a lesion may take
    bright       0 to 1, its share of the full FLAIR contrast; one number, or (i, j, k) of the box
    dark         0 to 1, its share of the full T1w contrast; the same
    """

    box: tuple[slice, ...]
    outside_mm: FloatArray
    ground: Field
    bright: float | Field
    dark: float | Field

    def fraction(self, spacing_mm: float, *, grown_mm: float | Field = 0.0) -> Field:
        """The share of each voxel of the box that is lesion, its border `grown_mm` further out."""
        inside = np.clip(0.5 - (self.outside_mm - grown_mm) / (1.1 * spacing_mm), 0.0, 1.0)
        fraction: Field = (inside * self.ground).astype(np.float32)
        return fraction


def no_lesions(grid: PhantomGrid) -> PhantomLesions:
    """The lesions of a healthy subject: none."""
    empty = np.zeros(grid.shape, dtype=np.float32)
    return PhantomLesions(empty, empty, empty)


def drawn_lesions(anatomy: Anatomy, habit: LesionHabit, rng: np.random.Generator) -> PhantomLesions:
    """Lesions at random places until the subject's load is reached: `lesion_list`, painted."""
    lesions = lesion_list(anatomy, habit, rng)
    return painted(lesions, anatomy.grid, edge_mm=habit.edge_mm)


def lesion_list(
    anatomy: Anatomy, habit: LesionHabit, rng: np.random.Generator
) -> tuple[Lesion, ...]:
    """One lesion after the other, at random places, until the subject's load is reached.

    Ovoids with ragged borders; at the ventricles long across them (Dawson's fingers) when small
    and wrapped round them when large. Overlapping ones merge, as confluent lesions do.
    """
    grid = anatomy.grid
    voxel_mm3 = float(np.prod(grid.spacing_mm))
    goal_mm3 = 1000.0 * habit.load_ml * float(np.exp(habit.spread * rng.standard_normal()))
    goal_mm3 = float(np.clip(goal_mm3, *LOADS_MM3))
    pen = LesionPen(anatomy, habit, rng)
    taken = np.zeros(grid.shape, dtype=np.float32)
    lesions: list[Lesion] = []
    load_mm3 = 0.0
    if habit.confluent > 0:
        lesions.append(confluent_lesion(anatomy, habit, habit.confluent * goal_mm3, rng))
        taken = lesions[0].fraction(grid.spacing_mm[0])
        load_mm3 = voxel_mm3 * float(taken.sum())
    for _ in range(1500):
        if load_mm3 >= goal_mm3:
            break
        share = rng.uniform(habit.least_share, 1.0)
        volume_mm3 = min(_volume_mm3(share) * habit.size, goal_mm3 - load_mm3 + 60.0)
        lesion = pen.draw(volume_mm3, rng)
        fraction = lesion.fraction(grid.spacing_mm[0])
        before = taken[lesion.box]
        load_mm3 += voxel_mm3 * float(np.maximum(fraction - before, 0.0).sum())
        np.maximum(before, fraction, out=before)
        lesions.append(lesion)
    return tuple(lesions)


def painted(
    lesions: Sequence[Lesion],
    grid: PhantomGrid,
    *,
    edge_mm: float,
    grown_mm: Sequence[float] | None = None,
) -> PhantomLesions:
    """`lesions` on the grid they were drawn on; where they overlap the strongest counts.

    edge_mm    over how many mm the contrast fades at a border
    grown_mm   how far each lesion's border has moved outwards; None: not at all
    """
    spacing = grid.spacing_mm[0]
    drawn = PhantomLesions(*(np.zeros(grid.shape, dtype=np.float32) for _ in range(3)))
    for lesion, grown in zip(lesions, grown_mm or [0.0] * len(lesions), strict=True):
        fraction = lesion.fraction(spacing, grown_mm=grown)
        steps = np.clip(4.0 * (lesion.outside_mm - grown) / edge_mm, -30.0, 30.0)
        fade = 1.0 / (1.0 + np.exp(steps))
        np.maximum(drawn.fraction[lesion.box], fraction, out=drawn.fraction[lesion.box])
        for field, contrast in ((drawn.brightness, lesion.bright), (drawn.darkness, lesion.dark)):
            shown = (contrast * fade * lesion.ground).astype(np.float32)
            np.maximum(field[lesion.box], shown, out=field[lesion.box])
    return drawn


def masked_lesions(
    mask: Field, anatomy: Anatomy, habit: LesionHabit, rng: np.random.Generator
) -> PhantomLesions:
    """The lesions of a real mask, resampled to the subject's grid, where its brain has room.

    mask   (i, j, k) on the anatomy's grid, share of the voxel that is lesion
    Each 26-connected lesion gets its own contrast; the fluid around it is left out.
    """
    fraction = np.clip(mask, 0.0, 1.0) * soil_of(anatomy)
    parts, n_parts = ndimage.label(fraction > 0.2, structure=np.ones((3, 3, 3)))
    bright, dark = _contrasts(habit, rng, n_parts + 1)
    bright[0] = dark[0] = 0.0
    spacing = anatomy.grid.spacing_mm[0]
    nearest = ndimage.grey_dilation(parts, size=(5, 5, 5))
    faded = ndimage.gaussian_filter(fraction, 0.6 * habit.edge_mm / spacing)
    shade = 1.0 + 0.12 * smooth_noise(rng, anatomy.grid, scale_mm=6.0)
    depth_mm = ndimage.distance_transform_edt(parts > 0, sampling=spacing).astype(np.float32)
    dimmed, blackened = core_contrast(depth_mm, habit.core)
    brightness = np.clip(bright[nearest] * dimmed * faded * shade, 0.0, 1.2)
    darkness = np.clip((dark[nearest] + blackened) * faded * shade, 0.0, 1.2)
    return PhantomLesions(fraction, brightness.astype(np.float32), darkness.astype(np.float32))


def confluent_lesion(
    anatomy: Anatomy, habit: LesionHabit, volume_mm3: float, rng: np.random.Generator
) -> Lesion:
    """One lesion of `volume_mm3` around both lateral ventricles, as far as there is tissue for it.

    It takes the tissue nearest to the ventricles, further out at their horns and by noise over 18
    and 6 mm that the two sides share by half: ragged fingers, caps and a band between them. It is
    never faint; its contrast varies over 9 mm and falls towards its core. Chosen beside real FLAIRs
    with tens of mL.
    """
    grid = anatomy.grid
    soil = anatomy.fraction("white") + 0.2 * anatomy.fraction("deep_grey")
    _, y, z = grid.coordinates_mm()
    wide = 0.6 * smooth_noise(rng, grid, scale_mm=18.0)
    wide = wide + wide[::-1]  # the grid is symmetric about the midline
    fine = smooth_noise(rng, grid, scale_mm=6.0)
    horns = np.exp(-0.5 * np.square((y - 30.0) / 12.0)) + np.exp(
        -0.5 * np.square((y + 55.0) / 18.0)
    )
    reach = np.exp(0.4 * wide + 0.2 * fine + 0.5 * horns - 1.5 * (z < -14.0))
    away_mm = anatomy.ventricle_mm / np.clip(reach, 0.2, 4.0)
    order = np.argsort(away_mm, axis=None, kind="stable")
    sums = np.cumsum(soil.ravel()[order], dtype=np.float64) * float(np.prod(grid.spacing_mm))
    last = min(int(np.searchsorted(sums, volume_mm3)), sums.size - 1)
    outside_mm = (away_mm - away_mm.ravel()[order[last]]).astype(np.float64)
    bright, dark = (max(0.8, float(c[0])) for c in _contrasts(habit, rng, 1))
    shade = 1.0 + 0.15 * smooth_noise(rng, grid, scale_mm=9.0)
    dimmed, blackened = core_contrast(np.maximum(-outside_mm, 0.0), habit.core)
    return Lesion(
        box=tuple(slice(0, n) for n in grid.shape),
        outside_mm=outside_mm,
        ground=soil.astype(np.float32),
        bright=np.clip(bright * dimmed * shade, 0.0, 1.0).astype(np.float32),
        dark=np.clip((dark + blackened) * shade, 0.0, 1.0).astype(np.float32),
    )


def core_contrast(depth_mm: FloatArray | Field, core: float) -> tuple[FloatArray, FloatArray]:
    """Factor on the FLAIR contrast and addition to the T1w darkness, `depth_mm` inside a lesion.

    Tissue is lost where a lesion is old and deep: from 2 mm on its FLAIR signal falls towards the
    fluid's, and its T1w darkens, fully at 7 mm. `core` is the share lost there. Chosen.
    """
    lost = core * np.clip((np.asarray(depth_mm, dtype=np.float64) - 2.0) / 5.0, 0.0, 1.0)
    return 1.0 - lost, 0.6 * lost


class LesionPen:
    """Draws single lesions into one brain, with one texture of ragged borders."""

    def __init__(self, anatomy: Anatomy, habit: LesionHabit, rng: np.random.Generator) -> None:
        grid = anatomy.grid
        self._anatomy = anatomy
        self._habit = habit
        self._soil = soil_of(anatomy)
        self._places = _Places(anatomy, self._soil, habit)
        self._ragged = 0.20 * smooth_noise(rng, grid, scale_mm=4.0) + 0.16 * smooth_noise(
            rng, grid, scale_mm=9.0
        )

    def draw(self, volume_mm3: float, rng: np.random.Generator) -> Lesion:
        """A lesion of about this volume at a random place; capped away from the ventricles."""
        centre, at_ventricle = self._places.draw(rng)
        if not at_ventricle:
            volume_mm3 = min(volume_mm3, LARGEST_AWAY_MM3 * self._habit.size)
        anatomy = self._anatomy
        spacing = anatomy.grid.spacing_mm[0]
        radius_mm = (0.75 * volume_mm3 / np.pi) ** (1 / 3)
        wraps = at_ventricle and volume_mm3 > 600.0
        reach = int(np.ceil((1.9 if wraps else 1.7) * (radius_mm + 2.0) / spacing)) + 1
        box = tuple(
            slice(max(0, c - reach), min(n, c + reach + 1))
            for c, n in zip(centre, anatomy.grid.shape, strict=True)
        )
        position = np.meshgrid(
            *(
                np.arange(s.start - c, s.stop - c) * spacing
                for s, c in zip(box, centre, strict=True)
            ),
            indexing="ij",
        )
        radius = _relative_radius(
            anatomy, np.stack(position), box, centre, at_ventricle, wraps, radius_mm, rng
        )
        wobble = min(1.0, radius_mm / 2.5)
        outside_mm = (radius * (1.0 + wobble * self._ragged[box]) - 1.0) * radius_mm
        bright, dark = (float(c[0]) for c in _contrasts(self._habit, rng, 1))
        return Lesion(
            box=box, outside_mm=outside_mm, ground=self._soil[box], bright=bright, dark=dark
        )


class _Places:
    """Where lesions may have their centre: one cumulative weight a kind."""

    def __init__(self, anatomy: Anatomy, soil: Field, habit: LesionHabit) -> None:
        _, _, z = anatomy.grid.coordinates_mm()
        spacing = anatomy.grid.spacing_mm[0]
        white = anatomy.fraction("white") * (soil > 0.5)
        near_cortex = ndimage.gaussian_filter(anatomy.fraction("cortex"), 2.2 / spacing)
        above = z > -18.0
        away = anatomy.ventricle_mm
        kinds = (
            white * above * np.exp(-away / 3.0) * (away > 0.5),
            white * above * (near_cortex > 0.12) * near_cortex * (away > 8.0),
            white * above * (near_cortex < 0.12) * np.exp(-away / 20.0) * (away > 5.0),
            white * (z < -20.0) * (z > -50.0),
        )
        deep = max(0.0, 1.0 - habit.periventricular - habit.juxtacortical)
        self._shares = np.array(
            [habit.periventricular, habit.juxtacortical, 0.95 * deep, 0.05 * deep]
        )
        self._shares *= [bool(kind.any()) for kind in kinds]
        self._shares /= self._shares.sum()
        self._sums = [np.cumsum(kind, dtype=np.float64) for kind in kinds]
        self._shape = anatomy.grid.shape

    def draw(self, rng: np.random.Generator) -> tuple[tuple[int, int, int], bool]:
        """A voxel, and whether it lies at the lateral ventricles."""
        kind = int(rng.choice(len(self._shares), p=self._shares))
        sums = self._sums[kind]
        flat = int(np.searchsorted(sums, rng.random() * sums[-1], side="right"))
        i, j, k = np.unravel_index(min(flat, sums.size - 1), self._shape)
        return (int(i), int(j), int(k)), kind == 0


def soil_of(anatomy: Anatomy) -> Field:
    """How much of each voxel a lesion may take: white matter wholly, grey partly, fluid never."""
    soil = (
        anatomy.fraction("white")
        + 0.8 * anatomy.fraction("deep_grey")
        + 0.55 * anatomy.fraction("cortex")
    )
    capped: Field = np.minimum(soil, 1.0).astype(np.float32)
    return capped


def _volume_mm3(share: float) -> float:
    """The volume below which `share` of the lesions lie, geometric between the quantiles."""
    shares, volumes = np.array(VOLUME_QUANTILES).T
    return float(np.exp(np.interp(share, shares, np.log(volumes))))


def _contrasts(
    habit: LesionHabit, rng: np.random.Generator, n: int
) -> tuple[FloatArray, FloatArray]:
    """Brightness and darkness of `n` lesions; bright ones tend to be dark in T1w."""
    common = rng.beta(1.6, 1.2, size=n)
    bright = habit.faintest + (1.0 - habit.faintest) * common
    dark = np.clip(0.15 + 0.55 * common + 0.3 * rng.standard_normal(n), 0.0, 1.0)
    return bright, dark


def _relative_radius(
    anatomy: Anatomy,
    position: FloatArray,
    box: tuple[slice, ...],
    centre: tuple[int, int, int],
    at_ventricle: bool,
    wraps: bool,
    radius_mm: float,
    rng: np.random.Generator,
) -> FloatArray:
    """1 on the border of an ovoid of the given mean radius, less inside, more outside."""
    squared = np.square(position).sum(axis=0)
    if wraps:
        depth = anatomy.ventricle_mm[box]
        thickness = 0.5 * radius_mm
        wrapped: FloatArray = np.sqrt(
            squared / (1.55 * radius_mm) ** 2 + np.square(depth / thickness)
        )
        return wrapped
    axis = rng.standard_normal(3)
    if at_ventricle:
        axis = _away_from_ventricle(anatomy.ventricle_mm, centre) + 0.25 * axis
    axis /= np.linalg.norm(axis)
    stretch = rng.uniform(1.2, 1.9) if at_ventricle else rng.uniform(0.8, 1.5)
    along = np.tensordot(axis, position, axes=1)
    across = np.maximum(squared - along**2, 0.0) * stretch
    ovoid: FloatArray = np.sqrt(along**2 / stretch**2 + across) / radius_mm
    return ovoid


def _away_from_ventricle(distance: Field, centre: tuple[int, int, int]) -> FloatArray:
    i, j, k = (min(max(c, 1), n - 2) for c, n in zip(centre, distance.shape, strict=True))
    slope = np.array(
        [
            distance[i + 1, j, k] - distance[i - 1, j, k],
            distance[i, j + 1, k] - distance[i, j - 1, k],
            distance[i, j, k + 1] - distance[i, j, k - 1],
        ],
        dtype=np.float64,
    )
    return slope + 1e-6
