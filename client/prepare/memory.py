"""How much memory a case needs, how much there is, and waiting until it fits."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from client.prepare.job import Job
from common.errors import ConfigError, SiteDataError
from common.imaging.volume import read_grid

BASE_BYTES = 800_000_000
"""The libraries, and the template with its search for the brain."""
BYTES_PER_SCANNER_VOXEL = 40
BYTES_PER_COMMON_VOXEL = 20
"""Chosen to lie above the peaks of real cases of 3 to 15 million voxels, 0.5 to 1.0 GB."""
SPARED = 0.1
"""Share of the free memory that is left to the others on the machine (chosen)."""

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")


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


def available_bytes() -> int:
    """What may be used without swapping: the machine's free memory, or less in a container.

    Of what a container holds, file pages not used of late do not count: they go when asked for.
    ConfigError where the system does not say.
    """
    try:
        lines = MEMINFO.read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line[:12] == "MemAvailable")
    except (OSError, StopIteration, ValueError, IndexError) as error:
        raise ConfigError(
            f"{MEMINFO}: want a line MemAvailable, found {error!r}. Run this on Linux."
        ) from None
    try:
        limit = int((CGROUP / "memory.max").read_text(encoding="ascii"))
        used = int((CGROUP / "memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):  # no container, or one without a limit: "max"
        return free
    return min(free, max(0, limit - max(0, used - _droppable_bytes())))


def _droppable_bytes() -> int:
    """The container's file pages not used of late; 0 where it does not say."""
    try:
        lines = (CGROUP / "memory.stat").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
    except (OSError, StopIteration, ValueError, IndexError):
        return 0


class MemoryBudget:
    """Lets as many jobs begin as fit side by side; the others wait."""

    def __init__(self, total_bytes: int) -> None:
        self._total = total_bytes
        self._free = total_bytes
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, wanted_bytes: int) -> Iterator[None]:
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
