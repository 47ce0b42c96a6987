"""Is there memory for what a run computes?"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from common.preflight.check import Check, not_checked, passed, problem, warning

NAME = "memory"

MEMINFO = Path("/proc/meminfo")
CONTAINER = Path("/sys/fs/cgroup")


def memory(*, needed_bytes: int, meminfo: Path = MEMINFO, container: Path = CONTAINER) -> Check:
    """Free memory against an estimate: a warning below it, a problem below half of it.

    container   a control group's folder, whose limit counts where it is the smaller
    """
    try:
        free_bytes = available_bytes(meminfo, container)
    except (OSError, ValueError, StopIteration):
        return not_checked(NAME, f"{meminfo} does not tell")
    found = f"{free_bytes / 1e9:.1f} GB free, about {needed_bytes / 1e9:.1f} GB are wanted"
    fix = "End other programs, raise the container's limit, or use a machine with more memory."
    if free_bytes < needed_bytes / 2:
        return problem(NAME, found, fix)
    if free_bytes < needed_bytes:
        return warning(NAME, found, fix)
    return passed(NAME, found)


def available_bytes(meminfo: Path, container: Path) -> int:
    """What can still be taken without swapping, of the machine and of the container."""
    lines = meminfo.read_text(encoding="ascii").splitlines()
    line = next(line for line in lines if line.startswith("MemAvailable:"))
    free_bytes = 1024 * int(line.split()[1])
    with suppress(OSError, ValueError):  # no control group, or no limit ("max")
        limit = int((container / "memory.max").read_text(encoding="ascii"))
        used = int((container / "memory.current").read_text(encoding="ascii"))
        free_bytes = min(free_bytes, max(limit - used, 0))
    return free_bytes
