"""Which slices of a case a picture shows."""

from __future__ import annotations

import numpy as np

from common.arrays import BoolArray


def lesion_slices(lesions: BoolArray, brain: BoolArray, *, n: int) -> tuple[int, ...]:
    """Up to `n` axial slices (indices along k, rising) with most lesion, apart from each other.

    lesions   (i, j, k) mask; with fewer lesion-bearing slices than `n`, all of them are taken
              and slices of the widest brain fill the gaps
    brain     (i, j, k) mask

    The slice with the most lesion is always among them.
    """
    area = np.count_nonzero(lesions, axis=(0, 1))
    bearing = np.flatnonzero(area)
    if len(bearing) >= n:
        ranked = sorted(bearing.tolist(), key=lambda k: (-int(area[k]), k))
        gap = max(1, 2 * int(bearing[-1] - bearing[0]) // (3 * max(1, n - 1)))
        while len(chosen := _apart(ranked, gap=gap)[:n]) < n:
            gap -= 1
        return tuple(sorted(chosen))
    return _filled(bearing.tolist(), brain, n=n)


def _apart(ranked: list[int], *, gap: int) -> list[int]:
    """The best-ranked slices of which no two are closer than `gap`."""
    chosen: list[int] = []
    for k in ranked:
        if all(abs(k - other) >= gap for other in chosen):
            chosen.append(k)
    return chosen


def _filled(chosen: list[int], brain: BoolArray, *, n: int) -> tuple[int, ...]:
    """`chosen` and further slices, each as far as possible from the others, up to `n`."""
    area = np.count_nonzero(brain, axis=(0, 1))
    wide = np.flatnonzero(area >= 0.6 * area.max()).tolist()
    if not chosen:
        chosen = [wide[len(wide) // 2]]
    while len(chosen) < n:
        distance, k = max((min(abs(k - other) for other in chosen), -k) for k in wide)
        if distance == 0:
            break
        chosen = [*chosen, -k]
    return tuple(sorted(chosen))
