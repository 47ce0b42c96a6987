"""Everything that is installed beside our own code."""

from __future__ import annotations

import importlib.metadata


def installed_lock() -> str:
    """Every installed distribution as `name==version`, a line each, in pip's own format."""
    found = {
        dist.metadata["Name"].lower().replace("_", "-"): dist.version
        for dist in importlib.metadata.distributions()
        if dist.metadata["Name"]
    }
    return "".join(f"{name}=={version}\n" for name, version in sorted(found.items()))
