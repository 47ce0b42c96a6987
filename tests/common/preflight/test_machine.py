"""Disk, memory, device, files and variables of this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from common.preflight.device import device
from common.preflight.disk import disk, folder_size_bytes
from common.preflight.memory import memory
from common.preflight.proxy_variables import proxy_variables
from common.preflight.secret_files import secret_files
from common.recipe.recipe import Compute

GB = 1_000_000_000


def test_disk_is_judged_by_the_free_bytes_where_the_folder_will_be(tmp_path: Path) -> None:
    work = tmp_path / "not" / "yet"
    assert disk(work, needed_bytes=1, purpose="images").status == "passed"
    check = disk(work, needed_bytes=10**18, purpose="images")
    assert check.status == "problem"
    assert "about 1000000000.0 GB for images" in check.found


def test_a_folders_size_is_that_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_bytes(bytes(1000))
    (tmp_path / "y").write_bytes(bytes(24))
    assert folder_size_bytes(tmp_path) == 1024


@pytest.mark.parametrize(("needed_gb", "status"), [(8, "passed"), (9, "warning"), (17, "problem")])
def test_memory_is_warned_of_below_the_estimate_and_refused_below_half(
    tmp_path: Path, needed_gb: int, status: str
) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 1 kB\nMemAvailable:    8000000 kB\n")  # 8.192e9 bytes
    assert memory(needed_bytes=needed_gb * GB, meminfo=meminfo, container=tmp_path).status == status


def test_a_containers_limit_counts_where_it_is_smaller(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemAvailable: 8000000 kB\n")
    (tmp_path / "memory.max").write_text("3000000000\n")
    (tmp_path / "memory.current").write_text("1000000000\n")
    check = memory(needed_bytes=3 * GB, meminfo=meminfo, container=tmp_path)
    assert check.found.startswith("2.0 GB free")
    (tmp_path / "memory.max").write_text("max\n")
    assert memory(needed_bytes=3 * GB, meminfo=meminfo, container=tmp_path).status == "passed"


def test_memory_that_nothing_tells_is_not_checked(tmp_path: Path) -> None:
    meminfo = tmp_path / "none"
    assert memory(needed_bytes=1, meminfo=meminfo, container=tmp_path).status == "not-checked"


def test_more_threads_than_cpus_are_warned_of() -> None:
    n_cpus = len(os.sched_getaffinity(0))
    assert device(Compute(threads=n_cpus)).status == "passed"
    check = device(Compute(threads=n_cpus + 1))
    assert check.status == "warning"
    assert f"{n_cpus + 1} threads" in check.found


def test_a_gpu_that_torch_does_not_find_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert device(Compute(device="cuda")).status == "problem"


def test_secrets_that_others_may_read_are_named(tmp_path: Path) -> None:
    secret, key = tmp_path / "secret", tmp_path / "key"
    for path in (secret, key):
        path.touch(mode=0o600)
    assert secret_files([secret, key], made_by="provision").status == "passed"
    key.chmod(0o640)
    check = secret_files([secret, key], made_by="provision")
    assert check.status == "problem"
    assert str(check.fix).startswith(f"chmod 600 {key},")
    key.unlink()
    assert secret_files([secret, key], made_by="provision").found == f"missing: {key}"


def test_a_web_proxy_is_warned_of_unless_the_address_is_excepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    assert proxy_variables("hub.example").found == "none is set"
    monkeypatch.setenv("HTTPS_PROXY", "http://web.example:3128")
    check = proxy_variables("hub.example")
    assert check.status == "warning"
    assert "export NO_PROXY=hub.example" in str(check.fix)
    monkeypatch.setenv("NO_PROXY", "hub.example")
    assert proxy_variables("hub.example").status == "passed"
