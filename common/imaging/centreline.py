"""The spinal cord's centreline: read from a table or found in a mask, and the voxels near it."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path

import numpy as np

from common.arrays import FloatArray
from common.errors import SiteDataError
from common.imaging.grid import Grid
from common.imaging.volume import Volume

COLUMNS = ("x_mm", "y_mm", "z_mm")


def read_centreline(path: Path) -> FloatArray:
    """The nodes in a centreline's table, (n, 3) float64, n >= 2, RAS+ world mm, in its order.

    path   tab-separated UTF-8 with the columns x_mm, y_mm and z_mm, one node a line; others are
           left alone
    Chosen: hussein2023 does not say how its centrelines are stored. SiteDataError, with the line,
    where the table cannot be used.
    """
    nodes = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter="\t")
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise SiteDataError(
                    f"{path} line 1: want the columns {', '.join(COLUMNS)} with tabs between, "
                    f"found no {', '.join(missing)}. Save it as tab-separated text with that "
                    "first line."
                )
            for fields in reader:
                where = f"{path} line {reader.line_num}"
                nodes.append([_mm(fields[name], where=where, column=name) for name in COLUMNS])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SiteDataError(
            f"{path}: cannot be read: {error}. Save it as tab-separated UTF-8 text."
        ) from None
    if len(nodes) < 2:
        raise SiteDataError(
            f"{path}: want a centreline of at least 2 nodes, found {len(nodes)}. Add a line for "
            "each node along the cord."
        )
    return np.array(nodes, dtype=np.float64)


def centreline_of(cord_mask: Volume) -> FloatArray:
    """The centroid of each slice of the cord, (n, 3) float64, n >= 2, RAS+ world mm.

    cord_mask   bool or labels: every voxel above 0 is cord
    Slices lie across the voxel axis that is closest to head-foot, and follow its direction; one
    without cord is passed over. Chosen: hussein2023 has its centrelines from elsewhere.
    SiteDataError where fewer than two slices show the cord.
    """
    head_foot = np.abs(cord_mask.affine[2, :3]) / cord_mask.spacing_mm
    axis = int(np.argmax(head_foot))
    voxels = np.argwhere(cord_mask.data > 0)
    slices = np.unique(voxels[:, axis])
    if len(slices) < 2:
        raise SiteDataError(
            "want the cord in at least 2 slices of its mask from head to foot, found it in "
            f"{len(slices)} of {cord_mask.data.shape[axis]} (across voxel axis {'ijk'[axis]}). "
            "Draw it along the cord, or give a centreline's table (desc-centreline.tsv)."
        )
    centroids = np.array([voxels[voxels[:, axis] == n].mean(axis=0) for n in slices])
    return moved_nodes(cord_mask.affine, centroids)


def moved_nodes(move: FloatArray, nodes: FloatArray) -> FloatArray:
    """The points `nodes`, (.., 3), after the affine `move`, (4, 4)."""
    moved: FloatArray = nodes @ move[:3, :3].T + move[:3, 3]
    return moved


def near_centreline(nodes: FloatArray, grid: Grid, *, radius_mm: float) -> Volume:
    """Bool on `grid`: the voxels whose centres lie within `radius_mm` of the centreline.

    nodes   (n, 3), n >= 2, RAS+ world mm; the line is straight from each to the next
    The distance is exact, to the segments with their end points, whatever the grid's axes.
    """
    near = np.zeros(grid.shape, dtype=bool)
    to_index = np.asarray(np.linalg.inv(grid.affine), dtype=np.float64)
    at = moved_nodes(to_index, nodes)
    reach = radius_mm * np.linalg.norm(to_index[:3, :3], axis=1)  # of a ball, in voxels
    for (start, end), (first, last) in zip(pairwise(nodes), pairwise(at), strict=True):
        low = np.floor(np.minimum(first, last) - reach).astype(int)
        high = np.ceil(np.maximum(first, last) + reach).astype(int) + 1
        low, high = np.maximum(low, 0), np.minimum(high, grid.shape)
        if (low >= high).any():
            continue
        box = tuple(map(slice, low, high))
        voxels = np.moveaxis(np.mgrid[box], 0, -1)
        centres = moved_nodes(grid.affine, voxels.astype(np.float64))
        near[box] |= _distance_mm(centres, start, end) <= radius_mm
    return Volume(near, grid.affine)


def _distance_mm(points: FloatArray, start: FloatArray, end: FloatArray) -> FloatArray:
    """From each of the points, (.., 3), to the segment; the end points may be one."""
    along = end - start
    length2 = float(along @ along)
    share = np.clip((points - start) @ along / length2, 0, 1) if length2 > 0 else np.zeros(1)
    nearest = start + share[..., None] * along
    distance: FloatArray = np.linalg.norm(points - nearest, axis=-1)
    return distance


def _mm(text: str | None, *, where: str, column: str) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise SiteDataError(
            f"{where}: want a finite number of mm in {column}, found {text!r}. Mend that line."
        )
    return value
