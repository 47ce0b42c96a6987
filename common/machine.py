"""This machine: free memory and installed packages."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from common.errors import ConfigError

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")


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


def installed_lock() -> str:
    """Every installed distribution as `name==version`, a line each, in pip's own format."""
    found = {
        dist.metadata["Name"].lower().replace("_", "-"): dist.version
        for dist in importlib.metadata.distributions()
        if dist.metadata["Name"]
    }
    return "".join(f"{name}=={version}\n" for name, version in sorted(found.items()))
