from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from client.cli.check import check
from tests.volumes import image_path, write_site


def run(*args: str | Path) -> Result:
    app = typer.Typer()
    app.command()(check)
    return CliRunner().invoke(app, [str(arg) for arg in args], env={"COLUMNS": "200"})


def test_a_good_site_exits_with_0_and_counts_its_cases(tmp_path: Path) -> None:
    result = run(write_site(tmp_path, brain=True))
    assert result.exit_code == 0
    assert result.stdout == "usable: 2 (with lesions to train on: 2), left out: 0\n"


def test_a_quarantined_case_exits_with_1_and_its_row_says_what_to_do(tmp_path: Path) -> None:
    root = write_site(tmp_path)
    image_path(root, "sub-02", "T1w").unlink()
    result = run(root)
    assert result.exit_code == 1
    (row,) = [line for line in result.stdout.splitlines() if "no T1w image" in line]
    assert "blocking" in row
    assert "sub-02" in row
    assert "Add sub-02_T1w.nii.gz" in row
    assert "left out: 1" in result.stdout


def test_a_site_without_a_case_exits_with_1(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert result.exit_code == 1
    assert "no anatomical NIfTI image" in result.stdout


def test_a_modality_the_recipe_does_not_ask_for_may_be_missing(tmp_path: Path) -> None:
    root = write_site(tmp_path, modalities=["FLAIR"])
    assert run(root).exit_code == 1
    assert run(root, "--modalities", "FLAIR").exit_code == 0


def test_json_holds_cases_and_findings_and_nothing_else(tmp_path: Path) -> None:
    root = write_site(tmp_path)
    image_path(root, "sub-02", "FLAIR").write_bytes(b"")
    result = run(root, "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["quarantined"] == ["sub-02"]
    (usable,) = found["usable"]
    assert usable["case"] == "sub-01"
    assert usable["n_lesion_voxels"] == 8
    assert usable["images"]["FLAIR"] == str(image_path(root, "sub-01", "FLAIR"))
    assert {"level", "code", "subject", "session", "text", "fix"} == set(found["findings"][0])


@pytest.mark.parametrize("modalities", ["", "FLAIR,", "FLAIR,FLAIR"])
def test_modalities_that_make_no_sense_are_a_wrong_call(tmp_path: Path, modalities: str) -> None:
    result = run(write_site(tmp_path), "--modalities", modalities)
    assert result.exit_code == 2
    assert "want names such as FLAIR,T1w" in result.output


def test_a_folder_that_is_not_there_is_a_wrong_call(tmp_path: Path) -> None:
    result = run(tmp_path / "nowhere")
    assert result.exit_code == 2
    assert "does not exist" in result.output


def test_help_loads_no_image_library() -> None:
    program = (
        "import sys; import client.cli.check; "
        "sys.exit(any(name in sys.modules for name in ('numpy', 'nibabel', 'bids', 'rich.table')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
