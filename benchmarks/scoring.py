"""What one scored case costs: voxel and lesion metrics, the same with surface distances, the table.

    python -m benchmarks.scoring

A reference of 100 lesions on 182 x 218 x 182 voxels of 1 mm, a prediction that is one voxel off,
misses ten of them and has ten false ones; arrays in memory. Prints minimum, median and 90th
percentile in seconds of wall time, median of CPU time, and the most memory that arrays took beyond
the two masks. The median of wall time is held against the bound.
"""

from __future__ import annotations

import os
import platform
import time
import tracemalloc
from collections.abc import Callable

import numpy as np

from common.arrays import BoolArray, FloatArray
from common.metrics.case import score_case
from common.metrics.lesion import count_lesions
from common.metrics.lesion_table import lesion_rows
from common.metrics.mask import lesion_mask
from common.metrics.presets import MSSEG2016
from common.metrics.voxel import count_voxels

SHAPE = (182, 218, 182)
SPACING_MM = (1.0, 1.0, 1.0)
N_RUNS = 15


def main() -> None:
    """Times each thing on one pair of masks."""
    reference, prediction = a_pair()
    affine = np.diag((*SPACING_MM, 1.0))
    counts = count_lesions(reference, prediction, spacing_mm=SPACING_MM, definition=MSSEG2016)
    print(
        f"{counts.n_reference} lesions of {np.count_nonzero(reference)} voxels in the reference, "
        f"{counts.n_detected} found; {counts.n_predicted} predicted"
    )
    show("voxel and lesion metrics", lambda: without_surface(reference, prediction), bound_s=0.3)
    show(
        "and surface distances",
        lambda: score_case(
            reference, prediction, spacing_mm=SPACING_MM, definition=MSSEG2016
        ).metrics(),
        bound_s=1.5,
    )
    show(
        "table of lesions",
        lambda: lesion_rows(reference, prediction, affine=affine, definition=MSSEG2016),
    )


def a_pair() -> tuple[BoolArray, BoolArray]:
    """Reference and prediction, i fastest in memory as files are read."""
    rng = np.random.default_rng(0)
    boxes = np.stack(np.meshgrid(*(np.linspace(0.2, 0.8, n) for n in (5, 5, 4))), axis=-1)
    centres = boxes.reshape(-1, 3) * SHAPE
    radii = rng.uniform(1.5, 7.0, len(centres))
    reference, prediction = (np.zeros(SHAPE, dtype=np.bool_, order="F") for _ in range(2))
    for index, (centre, radius) in enumerate(zip(centres, radii, strict=True)):
        draw_ball(reference, centre, radius)
        away = (1, 0, 0) if index % 10 else (0, 20, 0)  # every tenth lies beside the lesion
        draw_ball(prediction, centre + away, radius)
    return reference, prediction


def draw_ball(mask: BoolArray, centre: FloatArray, radius: float) -> None:
    """Sets the voxels whose centres lie within `radius` of `centre`, both in voxels."""
    start = np.floor(centre - radius).astype(int)
    end = np.ceil(centre + radius).astype(int) + 1
    box = tuple(slice(a, b) for a, b in zip(start, end, strict=True))
    away = np.indices(tuple(end - start)) + (start - centre)[:, None, None, None]
    mask[box] |= (away**2).sum(axis=0) <= radius**2


def without_surface(reference: BoolArray, prediction: BoolArray) -> object:
    """What `score_case` does, but for the distances."""
    truth, _ = lesion_mask(reference, name="reference")
    found, _ = lesion_mask(prediction, name="prediction")
    return (
        count_voxels(truth, found),
        count_lesions(truth, found, spacing_mm=SPACING_MM, definition=MSSEG2016),
    )


def show(what: str, act: Callable[[], object], *, bound_s: float | None = None) -> None:
    """Prints what `act` costs; the first run is warm-up, the last one counts memory untimed."""
    wall, cpu = [], []
    for _ in range(N_RUNS + 1):
        wall_0, cpu_0 = time.perf_counter(), time.process_time()
        act()
        wall.append(time.perf_counter() - wall_0)
        cpu.append(time.process_time() - cpu_0)
    tracemalloc.start()
    act()
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    low, middle, high = np.quantile(wall[1:], (0, 0.5, 0.9))
    verdict = ""
    if bound_s is not None:
        verdict = f"  bound {bound_s:g}: {'held' if middle <= bound_s else 'BROKEN'}"
    print(
        f"{what:28} min {low:7.3f}  median {middle:7.3f}  p90 {high:7.3f}  "
        f"CPU {np.median(cpu[1:]):7.3f}  memory {peak_bytes / 2**20:5.0f} MiB{verdict}"
    )


if __name__ == "__main__":
    print(f"{platform.node()}, {platform.machine()}, numpy {np.__version__}")
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    print(f"load {load} on {os.cpu_count()} cores")
    main()
