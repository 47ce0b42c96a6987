"""Disk, memory, device, packages, code and secret files of this machine."""

from __future__ import annotations

import importlib.metadata
import os
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from common import machine as this_machine
from common.code_digest import code_digest
from common.preflight import machine
from common.preflight.machine import (
    device,
    disk,
    folder_size_bytes,
    lock_digest,
    memory,
    packages,
    secret_files,
    unmet,
    versions,
)
from common.recipe.inference import Compute

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
    monkeypatch: pytest.MonkeyPatch, needed_gb: int, status: str
) -> None:
    monkeypatch.setattr(machine, "available_bytes", lambda: 8_192_000_000)
    check = memory(needed_bytes=needed_gb * GB)
    assert check.status == status
    assert check.found.startswith("8.2 GB free")


def test_memory_that_nothing_tells_is_not_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(this_machine, "MEMINFO", tmp_path / "none")
    assert memory(needed_bytes=1).status == "not-checked"


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


def test_what_is_installed_here_fits() -> None:
    check = packages()
    assert check.status == "passed"
    assert f"flwr {importlib.metadata.version('flwr')}" in check.found


def test_a_missing_package_and_another_version_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    version = importlib.metadata.version("numpy")
    assert unmet(Requirement("numpy<1")) == f"numpy {version} is installed, want <1"
    assert unmet(Requirement("no-such-package")) == "no-such-package is missing"
    wanted = ["numpy<1", "no-such-package", "other; extra == 'dev'"]
    monkeypatch.setattr("importlib.metadata.requires", lambda name: wanted)
    check = packages()
    assert check.status == "problem"
    assert check.found == f"numpy {version} is installed, want <1; no-such-package is missing"


def test_the_lock_digest_changes_with_one_version(monkeypatch: pytest.MonkeyPatch) -> None:
    locks = iter(["a==1\nb==2\n", "a==1\nb==3\n"])
    monkeypatch.setattr("common.preflight.machine.installed_lock", lambda: next(locks))
    first, second = lock_digest(), lock_digest()
    assert first.found.endswith("over 2 packages")
    assert first.found != second.found


def test_other_code_under_the_same_version_is_a_problem() -> None:
    version = importlib.metadata.version("lesionfed")
    issued = "2026-01-02T03:04:05Z"
    same = versions(lesionfed_version=version, digest=code_digest(), issued=issued)
    assert same.status == "passed"
    other = versions(lesionfed_version=version, digest="0" * 64, issued=issued)
    assert other.status == "problem"
    assert other.found.endswith("code 000000000000 by the kit of 2026-01-02")
    assert versions(lesionfed_version="9", digest=code_digest(), issued=issued).status == "problem"
