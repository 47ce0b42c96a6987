"""The free memory and the packages that a run or a site has."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import pytest

from common import machine
from common.errors import ConfigError
from common.machine import available_bytes, installed_lock


def test_the_lock_names_every_package_once_as_pip_reads_it() -> None:
    lines = installed_lock().splitlines()
    assert all(re.fullmatch(r"[a-z0-9._-]+==\S+", line) for line in lines)
    assert f"numpy=={importlib.metadata.version('numpy')}" in lines
    assert len({line.partition("==")[0] for line in lines}) == len(lines)


def write_machine(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, limit: str | None, used: str = "0"
) -> None:
    """8000 kB free; in a container where there is a limit."""
    meminfo = "MemTotal:       16000 kB\nMemFree:  500 kB\nMemAvailable:    8000 kB\n"
    (folder / "meminfo").write_text(meminfo)
    monkeypatch.setattr(machine, "MEMINFO", folder / "meminfo")
    monkeypatch.setattr(machine, "CGROUP", folder)
    if limit is not None:
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text(f"{used}\n")


@pytest.mark.parametrize(
    ("limit", "used", "expected"),
    [
        pytest.param(None, "0", 8000 * 1024, id="no container"),
        pytest.param("max", "5", 8000 * 1024, id="a container without a limit"),
        pytest.param("3000000", "1000000", 2_000_000, id="3 MB less the 1 MB in use"),
        pytest.param("3000000", "4000000", 0, id="over its limit"),
        pytest.param("99000000", "0", 8000 * 1024, id="a limit above what the machine has"),
    ],
)
def test_the_memory_to_be_had_is_the_machine_s_or_the_container_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str | None, used: str, expected: int
) -> None:
    write_machine(tmp_path, monkeypatch, limit=limit, used=used)
    assert available_bytes() == expected


def test_a_system_that_does_not_tell_its_memory_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "MEMINFO", tmp_path / "nothing")
    with pytest.raises(ConfigError, match="want a line MemAvailable"):
        available_bytes()


def test_file_pages_that_can_be_dropped_count_as_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """3 MB less 2.5 MB in use, of which 2 MB are file pages not used of late."""
    write_machine(tmp_path, monkeypatch, limit="3000000", used="2500000")
    (tmp_path / "memory.stat").write_text("anon 1\nactive_file 7\ninactive_file 2000000\n")
    assert available_bytes() == 2_500_000
