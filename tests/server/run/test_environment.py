"""The record of what a run was made with."""

from __future__ import annotations

import pytest

from server.run import environment as subject
from server.run.environment import code_commit, environment


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
