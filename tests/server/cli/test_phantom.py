from __future__ import annotations

import json
from pathlib import Path

import pytest

from server.cli import main


def test_phantom_makes_the_sites_it_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "phantoms"
    arguments = ["phantom", "--out", str(out), "--sites", "1", "--subjects", "1", "--json"]
    assert main([*arguments, "--spacing", "4"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == {"site-1": str(out / "site-1")}
    assert (out / "site-1" / "phantom.json").is_file()


def test_a_filled_folder_is_a_wrong_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").touch()
    assert main(["phantom", "--out", str(tmp_path), "--quiet"]) == 2
    assert "want a new or empty folder" in capsys.readouterr().err
