"""The record of what a run was made with."""

from __future__ import annotations

import importlib.metadata
import re

import pytest

from server import environment as subject
from server.environment import code_commit, environment, installed_lock


def test_the_lock_names_every_package_once_as_pip_reads_it() -> None:
    lines = installed_lock().splitlines()
    assert all(re.fullmatch(r"[a-z0-9._-]+==\S+", line) for line in lines)
    assert f"numpy=={importlib.metadata.version('numpy')}" in lines
    assert len({line.partition("==")[0] for line in lines}) == len(lines)


def test_the_environment_holds_the_commit_and_the_versions_a_report_names() -> None:
    facts = environment()
    assert facts["commit"] == code_commit()
    assert set(subject.SHOWN) == set(facts["packages"])  # type: ignore[call-overload] # JSON


def test_without_git_the_commit_is_unknown_instead_of_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    commit = code_commit()
    assert commit is None
