from __future__ import annotations

import json
from pathlib import Path

import pytest

from common.phantom.cord_consortium import SPACING_MM as CORD_SPACING_MM
from common.phantom.recipe_phantoms import BRAIN_SPACING_MM
from common.recipe.recipe import shipped_recipes
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


def test_phantoms_are_those_that_the_recipe_file_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = shipped_recipes()["default"].read_text(encoding="utf-8")
    recipe = tmp_path / "dates.toml"
    text = text.replace("[task]", '[task]\ntarget = "new-lesions"')
    recipe.write_text(text.replace('space = "own"', 'space = "halfway"'), encoding="utf-8")
    out = tmp_path / "phantoms"
    arguments = ["phantom", "--recipe", str(recipe), "--out", str(out), "--quiet"]
    assert main([*arguments, "--sites", "1", "--subjects", "1", "--spacing", "4"]) == 0
    later = out / "site-1/derivatives/lesions/sub-P001/ses-02/anat"
    assert (later / "sub-P001_ses-02_desc-newlesion_mask.nii.gz").is_file()


def test_consortium_has_its_own_sites_and_is_for_brains_scanned_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["phantom", "--consortium", "--out", str(tmp_path / "out"), "--quiet"]
    assert main([*arguments, "--sites", "4"]) == 2
    assert "9 sites of its own, and --sites is 4" in capsys.readouterr().err
    assert main([*arguments, "--recipe", "hussein2023"]) == 2
    assert "wants cord phantoms" in capsys.readouterr().err
    assert main([*arguments, "--without-masks", "07", "--without-masks", "19"]) == 2
    assert "masks to leave out (07, 19) without a folder" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_help_names_the_spacing_that_each_kind_gets(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["phantom", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert f"brains {BRAIN_SPACING_MM:g}, cords {CORD_SPACING_MM:g}" in shown
