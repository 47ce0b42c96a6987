"""A neck and upper chest near the spinal cord: its centreline, and every tissue as a layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.arrays import FloatArray, IndexArray
from common.phantom.grid import Field, PhantomGrid, covering, smooth_noise

FIELD_OF_VIEW_MM = ((-24.0, -24.0, -64.0), (24.0, 24.0, 64.0))
"""Corners of the box every cord phantom comes in, RAS+ world, about C2 to T3."""
N_DISCS = 24
"""More than the field of view holds."""
EDGE_MM = 0.7
"""Width over which one tissue gives way to the next."""


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A tissue painted over those before it; `share` is how much of the voxel it takes.

    share   broadcasts to (i, j, k)
    """

    tissue: str
    share: Field


@dataclass(frozen=True, slots=True, eq=False)
class CordFrame:
    """Where each voxel lies seen from the cord, mm; the arrays broadcast over the grid.

    right, front   from the centreline, across the body
    height         along the spine
    nodes          (n, 3), the centreline, one node a slice from foot to head, RAS+ world mm
    """

    grid: PhantomGrid
    right: Field
    front: Field
    height: Field
    nodes: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class CordAnatomy:
    """One person near the spinal cord.

    frame    where the voxels lie
    layers   from the back to the front, as they are painted
    cord     share of the voxel that is spinal cord
    radius   (2,) fields over the slices: half the cord's width and depth, mm
    void     0 to 1, how far moving fluid loses its signal
    """

    frame: CordFrame
    layers: tuple[Layer, ...]
    cord: Field
    radius: tuple[Field, Field]
    void: Field


def fine_grid(spacing_mm: float) -> PhantomGrid:
    """The grid a subject is made on: finer than the output, so that partial volumes arise."""
    fine = max(0.5, 0.625 * spacing_mm)
    return covering(FIELD_OF_VIEW_MM, (fine, fine, fine))


def drawn_anatomy(grid: PhantomGrid, rng: np.random.Generator) -> CordAnatomy:
    """One person: a curved cord, its sac of fluid, vertebrae and discs, muscle and fat."""
    frame = _frame(grid, rng)
    above, level = _levels(frame, rng)
    width, depth = _cord_size(frame, rng)
    cord = soft(_ellipse(frame.right, frame.front, width, depth))
    sac_shift = frame.front + np.float32(rng.uniform(-0.8, 0.8))
    bulges = np.clip(rng.normal(0.6, 0.9, N_DISCS), 0.0, 2.6).astype(np.float32)
    sac_wide, sac_deep = rng.uniform(8.0, 9.4), rng.uniform(5.6, 6.8)
    pressed = sac_deep - bulges[level] * np.exp(-np.square(above / 2.6))
    sac = np.maximum(_ellipse(frame.right, sac_shift, sac_wide, sac_deep), sac_shift - pressed)
    layers = [
        *_soft_tissue(frame, rng),
        *_behind(frame, above, rng),
        *_beside(frame, above),
        Layer("fat", 0.85 * soft(_ellipse(frame.right, frame.front + 1.6, 11.0, 8.2))),
        *_in_front(frame, above, level, sac_deep, rng),
        Layer("bone", soft(sac - 0.9)),
        Layer("csf", soft(sac)),
        *_roots(frame, above, sac),
        Layer("white", cord),
        *_inside(frame, width, depth, cord),
    ]
    void = _void(frame, sac, rng)
    return CordAnatomy(
        frame=frame, layers=tuple(layers), cord=cord, radius=(width, depth), void=void
    )


def painted(layers: tuple[Layer, ...], levels: dict[str, float], shape: tuple[int, ...]) -> Field:
    """The signal of all layers, each with its tissue's level, painted one over the other."""
    signal = np.zeros(shape, np.float32)
    for layer in layers:
        signal += layer.share * (np.float32(levels[layer.tissue]) - signal)
    return signal


def soft(distance_mm: Field) -> Field:
    """Share of the voxel inside a surface, from the distance to it (negative inside)."""
    inside: Field = np.clip(0.5 - distance_mm / EDGE_MM, 0.0, 1.0).astype(np.float32)
    return inside


def _frame(grid: PhantomGrid, rng: np.random.Generator) -> CordFrame:
    """Neck bent forward in its middle, chest bent back; a slight bend to one side."""
    z = grid.axis_mm(2)
    bend, apex, length = rng.uniform(1.0, 5.5), rng.uniform(5.0, 35.0), rng.uniform(150.0, 190.0)
    side, phase = rng.uniform(0.3, 1.8), rng.uniform(0.0, 2 * np.pi)
    y0 = bend * np.cos(2 * np.pi * (z - apex) / length)
    y0 -= (y0.max() + y0.min()) / 2 - rng.uniform(-1.0, 1.0)
    x0 = side * np.sin(2 * np.pi * z / 140.0 + phase)
    x, y, height = grid.coordinates_mm()
    front = (y - y0.astype(np.float32)[None, None, :]).astype(np.float32)
    slope = np.gradient(y0, z).astype(np.float32)[None, None, :]
    return CordFrame(
        grid=grid,
        right=x - x0.astype(np.float32)[None, None, :],
        front=front,
        height=height + slope * front,
        nodes=np.stack([x0, y0, z], axis=1),
    )


def _levels(frame: CordFrame, rng: np.random.Generator) -> tuple[Field, IndexArray]:
    """Height above the nearest disc's middle, mm, and that disc's number from the head down."""
    pitch = rng.uniform(15.5, 17.5)
    discs = [85.0 - rng.uniform(0.0, pitch)]
    while discs[-1] > -90.0:
        discs.append(discs[-1] - pitch - 0.5 * len(discs))
    middle = np.array(discs, np.float32)
    away = frame.height[..., None] - middle
    level = np.abs(away).argmin(axis=-1)
    return np.take_along_axis(away, level[..., None], axis=-1)[..., 0], level


def _cord_size(frame: CordFrame, rng: np.random.Generator) -> tuple[Field, Field]:
    """Half the width, with the swelling of the lower neck, and half the depth, mm."""
    z = frame.grid.coordinates_mm()[2]
    size = np.float32(rng.uniform(0.92, 1.1))
    swelling = np.exp(-0.5 * np.square((z - np.float32(rng.uniform(5.0, 20.0))) / 24.0))
    return size * (5.0 + 1.6 * swelling), size * (3.9 + 0.3 * swelling)


def _ellipse(right: Field, front: Field, width: Field | float, depth: Field | float) -> Field:
    """About the distance to an ellipse around the cord, mm, negative inside."""
    radius = np.sqrt(np.square(right / width) + np.square(front / depth))
    distance: Field = ((radius - 1.0) * np.minimum(width, depth)).astype(np.float32)
    return distance


def _soft_tissue(frame: CordFrame, rng: np.random.Generator) -> list[Layer]:
    """Muscle everywhere, with streaks and planes of fat."""
    grid = frame.grid
    streaks = np.clip(0.9 * smooth_noise(rng, grid, scale_mm=5.0) - 0.8, 0.0, 0.9)
    planes = np.abs(smooth_noise(rng, grid, scale_mm=16.0))
    return [
        Layer("muscle", np.ones(grid.shape, np.float32)),
        Layer("fat", streaks.astype(np.float32)),
        Layer("fat", np.clip(0.8 - 6.0 * planes, 0.0, 0.8).astype(np.float32)),
    ]


def _behind(frame: CordFrame, above: Field, rng: np.random.Generator) -> list[Layer]:
    """Laminae around the canal and spinous processes that slope down, ligaments between."""
    right, front = frame.right, frame.front
    back = np.maximum(-front - 8.0, 0.0)
    between = np.abs(above)  # 0 at a disc, about 9 in the middle of a vertebra
    ring = np.abs(_ellipse(right, front + 1.5, 14.0, 11.0))
    lamina = np.maximum(np.maximum(ring - 2.2, 3.6 - between), front + 3.5)
    sloped = above - 0.55 * back + np.float32(rng.uniform(4.0, 6.0))
    process = np.maximum(np.maximum(np.abs(right) - 3.0, np.abs(sloped) - 3.6), 10.0 + front)
    ligament = np.maximum(np.abs(right) - 1.6, front + 8.0)
    bone = np.minimum(lamina, process)
    return [
        Layer("ligament", 0.7 * soft(ligament)),
        Layer("bone", soft(bone)),
        Layer("marrow", soft(bone + 1.0)),
    ]


def _beside(frame: CordFrame, above: Field) -> list[Layer]:
    """Pedicles at the height of the vertebrae, and the nerves' holes with fat between."""
    right, front = np.abs(frame.right), frame.front
    beside = np.maximum(10.0 - right, np.abs(front - 1.0) + 0.45 * (right - 10.0) - 4.0)
    pedicle = np.maximum(beside, 4.2 - np.abs(above))
    root = np.sqrt(np.square(front - 0.5) + np.square(above + 0.15 * right - 1.0)) - 1.5
    return [
        Layer("fat", 0.7 * soft(beside)),
        Layer("bone", soft(pedicle)),
        Layer("marrow", soft(pedicle + 1.0)),
        Layer("white", soft(np.maximum(root, beside))),
    ]


def _in_front(
    frame: CordFrame,
    above: Field,
    level: IndexArray,
    sac_deep: float,
    rng: np.random.Generator,
) -> list[Layer]:
    """Vertebral bodies with a dark rim, and discs between, some of them dried out."""
    right, front = np.abs(frame.right), frame.front
    wall = sac_deep + 1.7
    half_disc = 2.3
    sides = np.maximum(_ellipse(frame.right, front - wall - 9.0, 12.5, 9.6), wall - front)
    body = np.maximum(sides, half_disc - np.abs(above))
    disc = np.maximum(np.maximum(sides - 0.8, right - 12.0), np.abs(above) - half_disc + 0.3)
    nucleus = np.maximum(sides + 2.6, np.abs(above) - 1.3)
    wet = rng.uniform(0.15, 1.0, N_DISCS).astype(np.float32)
    ligament = np.maximum(wall - 1.0 - front, right - 9.0)
    return [
        Layer("bone", soft(ligament)),
        Layer("bone", soft(body)),
        Layer("marrow", soft(body + 0.8)),
        Layer("annulus", soft(disc)),
        Layer("nucleus", soft(nucleus) * wet[level]),
    ]


def _roots(frame: CordFrame, above: Field, sac: Field) -> list[Layer]:
    """Rootlets: thin dark strands in the fluid, from the cord's sides down to the nerves' holes."""
    layers = []
    for front_mm in (1.7, -1.9):
        line = np.abs(frame.right) - 6.0 - 0.35 * np.abs(above)
        away = np.sqrt(np.square(line) + np.square(frame.front - front_mm))
        layers.append(Layer("white", 0.8 * soft(np.maximum(away - 0.6, sac))))
    return layers


def _inside(frame: CordFrame, width: Field, depth: Field, cord: Field) -> list[Layer]:
    """The butterfly of grey matter, the central canal and the cleft in front."""
    side: Field = (np.abs(frame.right) / width).astype(np.float32)
    front: Field = frame.front / depth
    horns = np.minimum(
        _strand(side, front, (0.20, 0.05), (0.36, 0.38), 0.17),
        _strand(side, front, (0.20, 0.05), (0.46, -0.66), 0.09),
    )
    bridge = np.maximum(side - 0.25, np.abs(front) - 0.10)
    grey = np.minimum(horns, bridge) * depth
    canal = np.sqrt(np.square(frame.right) + np.square(frame.front)) - 0.35
    cleft = np.maximum(np.abs(frame.right) - 0.2, 0.35 - front)
    return [
        Layer("grey", soft(grey) * cord),
        Layer("csf", 0.8 * soft(cleft) * cord),
        Layer("canal", soft(canal)),
    ]


def _strand(
    side: Field,
    front: Field,
    start: tuple[float, float],
    end: tuple[float, float],
    radius: float,
) -> Field:
    """Distance to a stretch between two points, less `radius`, in shares of the cord's size."""
    along = (end[0] - start[0], end[1] - start[1])
    length2 = along[0] ** 2 + along[1] ** 2
    share = ((side - start[0]) * along[0] + (front - start[1]) * along[1]) / length2
    share = np.clip(share, 0.0, 1.0)
    aside = side - start[0] - share * along[0]
    ahead = front - start[1] - share * along[1]
    distance: Field = (np.hypot(aside, ahead) - radius).astype(np.float32)
    return distance


def _void(frame: CordFrame, sac: Field, rng: np.random.Generator) -> Field:
    """Fluid moves most behind the cord, in patches; there spin echoes lose it."""
    patches = np.clip(0.9 * smooth_noise(rng, frame.grid, scale_mm=9.0), 0.0, 1.0)
    behind = np.clip(0.5 - frame.front / 6.0, 0.15, 1.0)
    void: Field = (patches * behind * soft(sac)).astype(np.float32)
    return void
