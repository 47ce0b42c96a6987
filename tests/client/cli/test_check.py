from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from client.cli.check import check
from common.errors import ConfigError
from tests.toy_sites import longitudinal_site
from tests.volumes import (
    head_in_noise,
    image_path,
    mask_path,
    put,
    stripped_brain,
    write_site,
)


def run(*args: str | Path, columns: int = 200) -> Result:
    app = typer.Typer()
    app.command()(check)
    return CliRunner().invoke(app, [str(arg) for arg in args], env={"COLUMNS": str(columns)})


def test_a_good_site_exits_with_0_and_counts_its_cases(tmp_path: Path) -> None:
    result = run(write_site(tmp_path, brain=True))
    assert result.exit_code == 0
    assert result.stdout.endswith("usable: 2 (with lesions to train on: 2), quarantined: 0\n")
    assert "blocking" not in result.stdout


def test_every_image_has_a_row_with_what_it_holds(tmp_path: Path) -> None:
    result = run(write_site(tmp_path, subjects=["sub-01"]))
    rows = [line.split() for line in result.stdout.splitlines() if "12x14x8" in line]
    assert [row[:6] for row in rows] == [
        ["sub-01", name, "12x14x8", "1.00x1.25x3.00", "RAS", "float32"] for name in ("FLAIR", "T1w")
    ]
    # 6 and 2 voxels of 1 x 1.25 x 3 = 3.75 mm3: 30 mm3 in all, both larger than 3 mm3
    assert all(row[-3:] == ["2,", "0.03", "mL"] for row in rows)


def test_pairs_are_counted_where_new_lesions_are_wanted(tmp_path: Path) -> None:
    data = longitudinal_site(tmp_path, name="lyon", seed=0, n_dates=3, n_raters=2).parent / "bids"
    options = ("--modalities", "FLAIR", "--target", "new-lesions", "--raters", "2")
    result = run(data, *options)
    assert result.exit_code == 0
    assert result.stdout.endswith("usable: 4 (with lesions to train on: 4), quarantined: 0\n")
    (first, *_) = json.loads(run(data, *options, "--json").stdout)["usable"]
    assert first["case"] == "sub-01_ses-02"
    assert list(first["images"]) == ["FLAIR-1", "FLAIR-2"]
    assert list(first["rater_masks"]) == ["newlesionRater1", "newlesionRater2"]


def raw_site(root: Path) -> Path:
    """A head each, not stripped, the T1w 3 mm aside of the FLAIR."""
    write_site(root, subjects=["sub-01"], lesions=False)
    put(head_in_noise(), image_path(root, "sub-01", "FLAIR"))
    aside = head_in_noise(seed=3)
    aside.affine[2, 3] += 3
    put(aside, image_path(root, "sub-01", "T1w"))
    return root


def test_raw_images_are_left_out_of_training_and_fit_to_be_prepared(tmp_path: Path) -> None:
    root = raw_site(tmp_path)
    trained = run(root)
    assert trained.exit_code == 1
    assert (
        "1 of the quarantined cases only want preparing: lesionfed-site check --raw"
        in trained.stdout
    )
    prepared = run(root, "--raw")
    assert prepared.exit_code == 0
    assert "usable: 1" in prepared.stdout
    assert "only want preparing" not in prepared.stdout


def test_the_page_shows_every_case_and_says_that_it_stays(tmp_path: Path) -> None:
    root = write_site(tmp_path / "<site>")
    image_path(root, "sub-02", "T1w").write_bytes(b"")
    page = tmp_path / "page.html"
    assert run(root, "--html", page).exit_code == 1
    html = page.read_text(encoding="utf-8")
    assert "This page stays at the site." in html
    assert html.count("data:image/png;base64,") == 2  # the FLAIR of sub-02 is shown all the same
    assert "sub-02 (quarantined)" in html
    assert "&lt;site&gt;" in html
    assert "<site>" not in html
    assert "2 lesions, 0.03 mL (label 1)" in html


def test_a_page_in_a_folder_that_is_not_there_is_a_wrong_call(tmp_path: Path) -> None:
    result = run(write_site(tmp_path), "--html", tmp_path / "nowhere" / "page.html")
    assert result.exit_code == 2
    assert "no such folder" in result.output


def test_a_table_of_files_stands_in_for_bids_names(tmp_path: Path) -> None:
    put(stripped_brain(), tmp_path / "scan a.nii.gz")
    table = tmp_path / "mapping.tsv"
    table.write_text("subject\tsession\tmodality\tpath\nA1\t\tFLAIR\tscan a.nii.gz\n")
    assert run(tmp_path, "--modalities", "FLAIR").exit_code == 1
    assert run(tmp_path, "--modalities", "FLAIR", "--mapping", table).exit_code == 0
    table.write_text(table.read_text() + "\t\tT1w\tscan a.nii.gz\n")
    result = run(tmp_path, "--modalities", "FLAIR", "--mapping", table)
    assert result.exit_code == 1
    assert "mapping.tsv line 3" in result.stdout


def test_a_validator_that_is_not_installed_is_named_with_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = run(write_site(tmp_path), "--validator")
    assert result.exit_code == 1
    assert "pip install bids-validator-deno" in result.output


def test_a_quarantined_case_exits_with_1_and_its_row_says_what_to_do(tmp_path: Path) -> None:
    root = write_site(tmp_path)
    image_path(root, "sub-02", "T1w").unlink()
    result = run(root)
    assert result.exit_code == 1
    assert (
        "blocking: 1 (these cases are quarantined)\n\n  missing-modality, 1 case\n" in result.stdout
    )
    lines = result.stdout.splitlines()
    (row,) = [number for number, line in enumerate(lines) if "no T1w image" in line]
    assert lines[row].startswith("    sub-02: no T1w image; found sub-02_FLAIR.nii.gz")
    assert lines[row + 1].startswith(
        "      -> Add sub-02_T1w.nii.gz, or leave T1w out of the recipe:"
    )
    assert lines[row + 1].endswith("""--set 'task.modalities=["FLAIR"]'.""")
    assert "quarantined: 1" in result.stdout


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
    facts, spoilt = found["cases"]
    assert [image["modality"] for image in spoilt["images"]] == ["T1w"]
    assert facts["images"][0] | {"low": 0, "high": 0} == {
        "modality": "FLAIR",
        "file": "sub-01/anat/sub-01_FLAIR.nii.gz",
        "shape": [12, 14, 8],
        "spacing_mm": [1.0, 1.25, 3.0],
        "orientation": "RAS",
        "data_type": "float32",
        "low": 0,
        "high": 0,
    }
    assert facts["lesions"]["n_lesions"] == 2
    assert facts["lesions"]["volume_ml"] == pytest.approx(0.03)
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


LONG = ("sub-LYON0000000001", "sub-LYON0000000002", "sub-LYON0000000003")


@pytest.mark.parametrize("columns", [20, 40, 80, 120])
def test_no_name_of_a_case_or_file_is_broken_however_narrow_the_terminal(
    tmp_path: Path, columns: int
) -> None:
    root = write_site(tmp_path, subjects=LONG)
    for subject in LONG:
        image_path(root, subject, "T1w").unlink()
    text = run(root, columns=columns).stdout
    for subject in LONG:
        # the case of the finding, the file that was found, the file to add, the row of the FLAIR,
        # at least
        assert text.count(subject) >= 4
        assert f"{subject}_FLAIR.nii.gz" in text
        assert f"{subject}_T1w.nii.gz" in text
    assert text.count("""--set 'task.modalities=["FLAIR"]'""") == 3


def test_a_long_list_of_cases_is_counted_unless_it_blocks_or_is_asked_for(tmp_path: Path) -> None:
    subjects = [f"sub-{number:02d}" for number in range(1, 12)]
    root = write_site(tmp_path, subjects=subjects, lesions=False)  # a note for each of the eleven
    short, long = run(root).stdout, run(root, "--verbose").stdout
    assert "slab, 11 cases" in short
    assert "sub-08 and 3 more" in short
    assert "and 3 more" not in long
    for subject in subjects:
        assert subject in long


def test_affines_are_printed_on_request_alone(tmp_path: Path) -> None:
    root = raw_site(tmp_path)
    assert "affine [" not in run(root, "--raw").stdout
    assert "affine [" in run(root, "--raw", "--verbose").stdout
    assert "affine [" in run(root, "--raw", "--json").stdout
    page = tmp_path / "page.html"
    run(root, "--raw", "--html", page)
    assert "affine [" not in page.read_text(encoding="utf-8")


def test_page_and_terminal_have_one_order(tmp_path: Path) -> None:
    root = write_site(tmp_path)
    image_path(root, "sub-02", "T1w").write_bytes(b"")
    mask_path(root, "sub-01", "lesion").unlink()
    page = tmp_path / "page.html"
    printed = run(root, "--html", page).stdout
    html = page.read_text(encoding="utf-8")
    codes = ["unreadable, 1 case", "slab, 2 cases", "brain-mask-made, 2 cases"]
    for text in (printed, html):
        places = [text.index(code) for code in codes]
        assert places == sorted(places)


def test_a_recipe_says_what_is_asked_for(tmp_path: Path) -> None:
    root = write_site(tmp_path, modalities=["FLAIR"])
    assert run(root, "--recipe", "default").exit_code == 1
    assert run(root, "--recipe", "default", "--set", 'task.modalities=["FLAIR"]').exit_code == 0
    assert run(root, "--set", 'task.modalities=["FLAIR"]').exit_code == 0
    pairs = longitudinal_site(tmp_path / "b", name="lyon", seed=0, n_dates=2, n_raters=4)
    result = run(pairs.parent / "bids", "--recipe", "fenneteau2021", "--json")
    (first, *_) = json.loads(result.stdout)["usable"]
    assert list(first["images"]) == ["FLAIR-1", "FLAIR-2"]
    assert list(first["rater_masks"]) == [f"newlesionRater{n}" for n in (1, 2, 3, 4)]


def test_a_recipe_that_is_not_there_ends_with_the_names_that_are(tmp_path: Path) -> None:
    result = run(write_site(tmp_path), "--recipe", "nobody2020")
    assert result.exit_code != 0
    assert isinstance(result.exception, ConfigError)
    assert "want one of aslani2020, consortium, default" in str(result.exception)


@pytest.mark.parametrize(
    ("option", "value"), [("modalities", "FLAIR"), ("target", "lesions"), ("raters", "0")]
)
@pytest.mark.parametrize("chosen", [("--recipe", "default"), ("--set", "task.raters=2")])
def test_an_option_that_the_recipe_decides_is_refused_beside_it(
    tmp_path: Path, option: str, value: str, chosen: tuple[str, str]
) -> None:
    result = run(write_site(tmp_path), f"--{option}", value, *chosen)
    assert result.exit_code == 2
    assert f"the recipe says its {option} already" in " ".join(result.output.split())


def test_a_name_that_is_not_utf8_prints_escaped_in_text_in_json_and_on_the_page(
    tmp_path: Path,
) -> None:
    site = write_site(tmp_path / "Stra\udcdfe", subjects=["sub-01"], brain=True)
    odd = image_path(site, "sub-01", "FLAIR").with_name("sub-01_acq-fr\udcfch_T2w.nii.gz")
    odd.write_bytes(image_path(site, "sub-01", "FLAIR").read_bytes())
    page = tmp_path / "page.html"
    code = "import sys; from client.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "check", str(site)]
    wide = {**os.environ, "COLUMNS": "200"}
    shown = [
        subprocess.run([*command, *more], capture_output=True, check=True, env=wide).stdout.decode()
        for more in ([], ["--json"], ["--html", str(page), "--quiet"])
    ]
    assert r"fr\xfch" in shown[0]
    facts = json.loads(shown[1])
    assert r"Stra\xdfe" in facts["usable"][0]["images"]["FLAIR"]
    assert [f["text"] for f in facts["findings"] if f["code"] == "name"] == [
        r"sub-01/anat/sub-01_acq-fr\xfch_T2w.nii.gz: the name is not UTF-8; not used"
    ]
    assert r"fr\xfch" in page.read_text(encoding="utf-8")
    assert r"Stra\xdfe" in page.read_text(encoding="utf-8")
