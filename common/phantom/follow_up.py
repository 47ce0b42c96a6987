"""One subject at two dates: lesions that stay, grow, shrink or are new, and a brain that ages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from common.arrays import BoolArray
from common.phantom.anatomy import Anatomy, Deformation
from common.phantom.grid import Field, smooth_noise
from common.phantom.lesions import (
    Lesion,
    LesionHabit,
    LesionPen,
    PhantomLesions,
    lesion_list,
    painted,
)
from common.phantom.raters import Rater, rated
from common.phantom.subject import Subject, subject_of

LEAST_NEW_MM3 = 40.0
"""A new lesion is at least as large: 5 voxels of 2 mm."""
LARGEST_NEW_MM3 = 700.0
LEAST_CHANGING_MM = 2.0
"""A lesion that is less deep than this from its border to its middle neither grows nor shrinks."""
APART_MM = 4.0
"""A new lesion keeps this distance from every other lesion: what touches one is enlargement."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FollowUp:
    """One subject at two dates, both on the grid of the anatomy it was made from.

    earlier, later   what a scanner finds at each date
    new              (i, j, k), share of the voxel that is a new lesion at the later date
    rated            what each rater calls new lesion, (i, j, k) each, in the raters' order
    """

    earlier: Subject
    later: Subject
    new: Field
    rated: tuple[Field, ...]


def followed_up(
    anatomy: Anatomy,
    habit: LesionHabit,
    *,
    has_new: bool,
    raters: Sequence[Rater],
    spacing_mm: float,
    rng: np.random.Generator,
) -> FollowUp:
    """A subject with this brain at two dates; lesions, change and raters' outlines are drawn.

    has_new      whether there are new lesions at the later date, 1 to 8 of them
    spacing_mm   of the images to come: misregistration stays below half of it
    Of the earlier lesions of some size three in ten grow and one in ten shrinks, by up to 1.6 mm
    at the border.
    Look-alikes, faint blurred spots, brighten at the later date and are no lesion. All chosen.
    """
    grid = anatomy.grid
    old = lesion_list(anatomy, habit, rng)
    grown_mm = [_growth_mm(lesion, rng) for lesion in old]
    before = painted(old, grid, edge_mm=habit.edge_mm)
    changed = painted(old, grid, edge_mm=habit.edge_mm, grown_mm=grown_mm)
    taken = np.maximum(before.fraction, changed.fraction) > 0.05
    pen = LesionPen(anatomy, habit, rng)
    n_new = 1 + min(7, int(rng.poisson(2.0))) if has_new else 0
    new = _drawn_apart(pen, n_new, taken, grid.spacing_mm[0], rng)
    spots = _drawn_apart(pen, 1 + int(rng.poisson(2.0)), taken, grid.spacing_mm[0], rng)
    after = painted(
        [*old, *new], grid, edge_mm=habit.edge_mm, grown_mm=[*grown_mm, *[0.0] * len(new)]
    )

    # a stream of their own: raters change no image
    (hand,) = rng.spawn(1)
    subject = subject_of(anatomy, before, rng)
    aged = _aged(subject, subject_of(anatomy, after, rng), spots)
    grown = [
        replace(lesion, outside_mm=lesion.outside_mm - mm)
        for lesion, mm in zip(old, grown_mm, strict=True)
        if mm > 0.5
    ]
    masks = [painted(new, grid, edge_mm=habit.edge_mm).fraction]
    look_alikes = [*spots, *_some(grown, hand)]
    masks += [rated(rater, new, look_alikes, grid, hand) for rater in raters]
    earlier_from, later_from = _between_dates(anatomy, spacing_mm, rng)
    warped = later_from.warped(np.stack(masks))
    return FollowUp(
        earlier=_warped(subject, earlier_from),
        later=_warped(aged, later_from),
        new=warped[0],
        rated=tuple(warped[1:]),
    )


def _growth_mm(lesion: Lesion, rng: np.random.Generator) -> float:
    """How far a lesion's border moves from date to date: mostly not at all.

    One too small to be sure of in a mask of the earlier date stays: grown, it would look new.
    """
    kind, size = rng.random(2)
    depth_mm = -float(np.where(lesion.ground > 0.7, lesion.outside_mm, 0.0).min())
    if depth_mm < LEAST_CHANGING_MM:
        return 0.0
    if kind < 0.3:
        return float(min(0.6 + size, 0.7 * depth_mm))
    if kind < 0.4:
        return -float(min(0.4 + 0.8 * size, 0.5 * depth_mm))
    return 0.0


def _drawn_apart(
    pen: LesionPen,
    n: int,
    taken: BoolArray,
    spacing_mm: float,
    rng: np.random.Generator,
) -> list[Lesion]:
    """Up to `n` lesions away from what is `taken`; marks what they take themselves."""
    reach = int(np.ceil(APART_MM / spacing_mm))
    lesions: list[Lesion] = []
    for _ in range(60 * n):
        if len(lesions) == n:
            break
        wanted_mm3 = float(np.exp(rng.uniform(np.log(60.0), np.log(LARGEST_NEW_MM3))))
        lesion = pen.draw(wanted_mm3, rng)
        fraction = lesion.fraction(spacing_mm)
        near = ndimage.maximum_filter(fraction > 0.05, size=2 * reach + 1)
        core = ndimage.uniform_filter(fraction, size=2) > 0.6
        large_enough = np.count_nonzero(core) * spacing_mm**3 >= LEAST_NEW_MM3
        if large_enough and not (near & taken[lesion.box]).any():
            taken[lesion.box] |= fraction > 0.05
            lesions.append(lesion)
    return lesions


def _some(lesions: Sequence[Lesion], rng: np.random.Generator) -> list[Lesion]:
    """Two grown lesions at most: those that might be taken for new."""
    order = rng.permutation(len(lesions))[:2]
    return [lesions[place] for place in order]


def _aged(subject: Subject, other: Subject, spots: Sequence[Lesion]) -> Subject:
    """`subject` with the lesions of `other`, and a little of what else varies there.

    Flow of the fluid is of the day alone; the rest of the tissue hardly changes.
    """
    faint = [replace(spot, bright=0.55 * spot.bright) for spot in spots]
    spotted = painted(faint, subject.anatomy.grid, edge_mm=3.0).brightness
    return replace(
        subject,
        lesions=other.lesions,
        texture=_mixed(subject.texture, other.texture, 0.1),
        glow=np.clip(_mixed(subject.glow, other.glow, 0.2) + spotted, 0.0, 0.7),
        plexus=_mixed(subject.plexus, other.plexus, 0.2),
        flow=other.flow,
        dura=_mixed(subject.dura, other.dura, 0.4),
    )


def _mixed(one: Field, other: Field, share: float) -> Field:
    mixture: Field = ((1.0 - share) * one + share * other).astype(np.float32)
    return mixture


def _between_dates(
    anatomy: Anatomy, spacing_mm: float, rng: np.random.Generator
) -> tuple[Deformation, Deformation]:
    """Where each date's voxels come from: half of the change back, half of it on.

    The change: ventricles 0.1 to 0.8 mm wider (less away from them), tissue shifted by about
    0.15 mm over 30 mm, and what registration leaves, 0.46 voxels of the images at most at 80 mm
    from the middle. Both dates are interpolated once, as after a registration halfway.
    """
    grid = anatomy.grid
    inside = ndimage.maximum_filter(anatomy.brain, size=5) > 0.05
    apart = ndimage.gaussian_filter(anatomy.ventricle_mm, 2.0 / grid.spacing_mm[0])
    push_mm = rng.uniform(0.1, 0.8) * np.exp(-anatomy.ventricle_mm[inside] / 18.0)
    direction = rng.standard_normal(3)
    shift_mm = 0.25 * spacing_mm * rng.random() * direction / np.linalg.norm(direction)
    axis = rng.standard_normal(3)
    turn = np.radians(0.15) * spacing_mm * rng.random() * axis / np.linalg.norm(axis)
    places = np.argwhere(inside).astype(np.float32)
    from_middle = [
        np.broadcast_to(x, grid.shape)[inside].astype(np.float64) for x in grid.coordinates_mm()
    ]
    turned = np.cross(turn, np.stack(from_middle, axis=-1))
    halves = (places.copy(), places.copy())
    for n in range(3):
        outward = np.gradient(apart, grid.spacing_mm[n], axis=n)[inside]
        drift = 0.15 * smooth_noise(rng, grid, scale_mm=30.0)[inside]
        moved_mm = shift_mm[n] + turned[:, n] + drift - push_mm * outward
        for sources, sign in zip(halves, (-0.5, 0.5), strict=True):
            sources[:, n] += (sign * moved_mm / grid.spacing_mm[n]).astype(np.float32)
    return Deformation(inside, halves[0]), Deformation(inside, halves[1])


def _warped(subject: Subject, deformation: Deformation) -> Subject:
    """`subject` with every field that a scanner sees warped to its place."""
    lesions = subject.lesions
    names = ("texture", "glow", "plexus", "flow", "dura", "grain", "vessels", "remnants")
    own = [getattr(subject, name) for name in names]
    stacked = [*subject.anatomy.fractions, lesions.fraction, lesions.brightness, lesions.darkness]
    fields = deformation.warped(np.stack([*stacked, *own]))
    n = len(subject.anatomy.fractions)
    return Subject(
        anatomy=replace(subject.anatomy, fractions=fields[:n]),
        lesions=PhantomLesions(*fields[n : n + 3]),
        **dict(zip(names, fields[n + 3 :], strict=True)),
    )
