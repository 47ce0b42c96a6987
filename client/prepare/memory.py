"""How much memory a case needs, and waiting until it fits."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from client.prepare.job import Job
from common.errors import SiteDataError
from common.imaging.volume import read_grid

BASE_BYTES = 800_000_000
"""The libraries, and the template with its search for the brain."""
BYTES_PER_SCANNER_VOXEL = 40
BYTES_PER_COMMON_VOXEL = 20
"""Chosen to lie above the peaks of real cases of 3 to 15 million voxels, 0.5 to 1.0 GB."""
SPARED = 0.1
"""Share of the free memory that is left to the others on the machine (chosen)."""


def needed_bytes(job: Job) -> int:
    """An estimate from above of one job's peak, from the headers of its images alone."""
    n_scanner, n_common = 0, 0.0
    for case in job.cases:
        for path in case.images.values():
            grid = read_grid(path)
            n_scanner += math.prod(grid.data.shape)
            field_mm3 = float(np.prod(grid.data.shape * grid.spacing_mm))
            n_common += field_mm3 / job.preprocessing.spacing_mm**3
    return (
        BASE_BYTES + BYTES_PER_SCANNER_VOXEL * n_scanner + round(BYTES_PER_COMMON_VOXEL * n_common)
    )


class MemoryBudget:
    """Lets as many jobs begin as fit side by side; the others wait."""

    def __init__(self, total_bytes: int) -> None:
        self._total = total_bytes
        self._free = total_bytes
        self._changed = threading.Condition()

    @contextmanager
    def reserve(self, wanted_bytes: int) -> Iterator[None]:
        """Waits until that much is free, and holds it; SiteDataError where it never will be."""
        if wanted_bytes > self._total:
            raise SiteDataError(
                f"needs about {wanted_bytes / 1e9:.1f} GB of memory, and {self._total / 1e9:.1f} "
                "GB can be had. Close other programs, take a machine with more memory, or raise "
                "preprocessing.spacing_mm.",
                code="memory",
            )
        with self._changed:
            self._changed.wait_for(lambda: self._free >= wanted_bytes)
            self._free -= wanted_bytes
        try:
            yield
        finally:
            with self._changed:
                self._free += wanted_bytes
                self._changed.notify_all()
