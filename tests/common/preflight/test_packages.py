"""Installed packages and code, beside what is wanted."""

from __future__ import annotations

import importlib.metadata

import pytest
from packaging.requirements import Requirement

from common.code_digest import code_digest
from common.preflight.packages import lock_digest, packages, unmet
from common.preflight.update_size import update_size_bytes
from common.preflight.versions import versions
from common.recipe.recipe import load_recipe


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
    monkeypatch.setattr("common.preflight.packages.installed_lock", lambda: next(locks))
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


def test_an_update_is_four_bytes_a_parameter() -> None:
    from common.learning.model import new_network

    recipe = load_recipe("default", scale="small")
    network = new_network(recipe)
    n_buffers = sum(buffer.numel() for buffer in network.buffers())
    assert n_buffers == 0  # instance norm has none
    assert update_size_bytes(recipe) == 4 * sum(p.numel() for p in network.parameters())
