"""The packages that a run or a site has."""

from __future__ import annotations

import importlib.metadata
import re

from common.installed_packages import installed_lock


def test_the_lock_names_every_package_once_as_pip_reads_it() -> None:
    lines = installed_lock().splitlines()
    assert all(re.fullmatch(r"[a-z0-9._-]+==\S+", line) for line in lines)
    assert f"numpy=={importlib.metadata.version('numpy')}" in lines
    assert len({line.partition("==")[0] for line in lines}) == len(lines)
