from __future__ import annotations

import json
from pathlib import Path

import pytest

from client.check.bids_validator import validated
from common.errors import ConfigError, SiteDataError


def answering(folder: Path, name: str, text: str) -> None:
    """A program that prints `text` and fails, as a validator does that finds errors."""
    (folder / "answer.txt").write_text(text + "\n", encoding="utf-8")
    program = folder / name
    program.write_text(
        f'#!/bin/sh\nwhile read -r line; do echo "$line"; done < {folder}/answer.txt\nexit 16\n'
    )
    program.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_errors_are_a_warning_and_warnings_a_note_counted_by_code(programs: Path) -> None:
    issues = [
        {"code": "NOT_INCLUDED", "severity": "error", "location": "/sub-01/x.nii.gz"},
        {"code": "NOT_INCLUDED", "severity": "error", "location": "/sub-02/x.nii.gz"},
        {"code": "TOO_FEW_AUTHORS", "severity": "warning"},
    ]
    answering(programs, "bids-validator-deno", json.dumps({"issues": {"issues": issues}}))
    error, warning = validated(programs)
    assert (error.level, error.text) == (
        "warning",
        "bids-validator-deno: 2 errors: NOT_INCLUDED (2)",
    )
    assert (warning.level, warning.code) == ("note", "bids-warning")


def test_the_older_validator_is_understood_too(programs: Path) -> None:
    issues = {"errors": [{"key": "NO_SUBJECT", "files": [None, None, None]}], "warnings": []}
    answering(programs, "bids-validator", json.dumps({"issues": issues}))
    (finding,) = validated(programs)
    assert finding.text == "bids-validator: 3 errors: NO_SUBJECT (3)"


def test_no_issue_is_said(programs: Path) -> None:
    answering(programs, "bids-validator-deno", '{"issues": {"issues": []}}')
    (finding,) = validated(programs)
    assert (finding.level, finding.text) == ("note", "bids-validator-deno: no issue")


@pytest.mark.parametrize(
    "text", ["", "Segmentation fault", "[]", '{"issues": 3}', '{"summary": 1}']
)
def test_an_answer_that_is_none_is_an_error(programs: Path, text: str) -> None:
    answering(programs, "bids-validator-deno", text)
    with pytest.raises(SiteDataError, match="want its findings as JSON"):
        validated(programs)


def test_no_validator_is_an_error_that_says_how_to_get_one(programs: Path) -> None:
    with pytest.raises(ConfigError, match="pip install bids-validator-deno"):
        validated(programs)
