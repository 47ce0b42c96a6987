from __future__ import annotations

import gzip
import json
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from client.cli import main
from client.cli.prepare import prepare
from client.prepare import site_work
from common.imaging.intake.intake import examine, survey
from common.recipe.task import Task
from tests.client.prepare.jobs import FAST, files_under, toy_site
from tests.volumes import image_path, mask_path
from tests.waiting import wait_until

ROOT = Path(__file__).parents[3]


def run(*args: str | Path) -> Result:
    app = typer.Typer()
    app.command()(prepare)
    return CliRunner().invoke(app, [str(arg) for arg in args], env={"COLUMNS": "200"})


def fast(root: Path, out: Path, *more: str) -> list[str]:
    return [str(root), "--out", str(out), "--set", FAST, *more]


def test_a_dry_run_names_every_case_and_writes_nothing(tmp_path: Path) -> None:
    root = toy_site(tmp_path)
    result = run(*fast(root, tmp_path / "out", "--dry-run"))
    assert result.exit_code == 0
    assert result.stdout.count("would be prepared") == 2
    assert "to prepare: 2 (brain, resample, crop); nothing was computed or written" in result.stdout
    assert not (tmp_path / "out").exists()


def computed_s() -> float:
    """Seconds of a core that this process and its ended workers have had: no clock of the wall."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def test_a_second_run_finds_everything_there_and_changes_nothing(tmp_path: Path) -> None:
    root, out = toy_site(tmp_path), tmp_path / "out"
    first = run(*fast(root, out, "--json"))
    assert first.exit_code == 0, first.output
    assert [case["result"] for case in json.loads(first.stdout)["cases"]] == ["prepared"] * 2
    before = files_under(out)
    before_s = computed_s()
    second = run(*fast(root, out, "--json"))
    assert computed_s() - before_s < 4, "2 s a case"
    assert [case["result"] for case in json.loads(second.stdout)["cases"]] == ["cached"] * 2
    assert files_under(out) == before
    planned = run(*fast(root, out, "--dry-run"))
    assert planned.stdout.count("cached") == 2
    (out / "qc" / "sub-02.html").unlink()
    third = run(*fast(root, out, "--json"))
    assert [case["result"] for case in json.loads(third.stdout)["cases"]] == ["cached", "drawn"]
    assert files_under(out) == before


def test_a_case_that_cannot_be_prepared_is_named_and_the_others_continue(tmp_path: Path) -> None:
    root, out = toy_site(tmp_path), tmp_path / "out"
    image_path(root, "sub-01", "T1w").write_bytes(b"not an image")
    result = run(*fast(root, out))
    assert result.exit_code == 1
    assert "quarantined" in result.stdout
    assert "prepared: 1, left out: 1" in result.stdout
    usable = examine(out, task=Task(modalities=("FLAIR", "T1w"))).usable
    assert [case.name for case in usable] == ["sub-02"]
    index = (out / "qc" / "index.html").read_text()
    assert "sub-02.html" in index
    assert "sub-01.html" not in index


def test_a_header_that_contradicts_itself_is_told_of_its_case_and_a_bad_file_costs_its_own(
    tmp_path: Path,
) -> None:
    root, out = toy_site(tmp_path), tmp_path / "out"
    mask_path(root, "sub-01", "cord").symlink_to("nowhere")
    for modality in ("FLAIR", "T1w"):
        image = image_path(root, "sub-02", modality)
        content = bytearray(gzip.decompress(image.read_bytes()))
        struct.pack_into("<f", content, 88, 7.0)  # pixdim along k
        image.write_bytes(gzip.compress(content))
    for _ in range(2):  # prepared, and then cached
        result = json.loads(run(*fast(root, out, "--json")).stdout)
        left_out, prepared = result["cases"]
        assert (left_out["name"], left_out["result"]) == ("sub-01", "quarantined")
        assert "desc-cord_mask.nii.gz: a link without content" in left_out["notes"][0]
        assert prepared["name"] == "sub-02"
        assert prepared["notes"][0].startswith("FLAIR, T1w: the header contradicts itself")
    assert prepared["result"] == "cached"


def test_a_program_of_the_site_s_own_that_fails_leaves_the_case_out(tmp_path: Path) -> None:
    root = toy_site(tmp_path)
    for modality in ("FLAIR", "T1w"):
        write_head(image_path(root, "sub-01", modality))
    site = tmp_path / "site.toml"
    site.write_text(
        'name = "x"\ndata = "bids"\nwork = "work"\n'
        'brain_command = ["false", "{input}", "{output}"]\n'
    )
    result = run(*fast(root, tmp_path / "out", "--site", str(site)))
    assert result.exit_code == 1
    assert "failed" in result.stdout
    assert "prepared: 1, left out: 1" in result.stdout


def write_head(path: Path) -> None:
    from tests.volumes import head_in_noise, put

    put(head_in_noise(), path)


def test_a_recipe_without_steps_is_a_wrong_call(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = toy_site(tmp_path)
    out = str(tmp_path / "out")
    code = main(["prepare", str(root), "--out", out, "--set", "preprocessing.steps=[]"])
    assert code == 2
    assert "has no preprocessing.steps" in capsys.readouterr().err


def test_killed_in_the_middle_it_continues_to_the_same_bytes(tmp_path: Path) -> None:
    """SIGKILL to the command and its worker once the first case is there.

    What is to be killed comes no further than to the index, however late the signal is.
    """
    root = toy_site(tmp_path)
    program = "from client.cli import main; raise SystemExit(main())"
    halting = (
        "import time; from client.prepare import site_work; "
        f"site_work.write_qc_index = lambda *_: time.sleep(600); {program}"
    )

    def start(out: Path, program: str = program) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", program, "prepare", *fast(root, out, "--quiet")],
            cwd=ROOT,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
        )

    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = start(killed, halting)
    wait_until((killed / "sub-01" / "anat").exists, "the first case")
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (killed / "qc" / "index.html").exists(), "it had come to its end"
    assert start(killed).wait() == 0
    assert start(whole).wait() == 0
    assert files_under(killed) == files_under(whole)


def test_help_loads_no_image_library() -> None:
    program = (
        "import sys; from client.cli import main; main(['prepare', '--help']); "
        "sys.exit(any(name in sys.modules for name in ('numpy', 'SimpleITK', 'pydantic')))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True)
    assert done.returncode == 0


def test_a_case_that_can_no_longer_be_prepared_is_out_of_training_s_sight(tmp_path: Path) -> None:
    """Both prepared; then sub-01 is damaged and sub-02 gone."""
    root, out = toy_site(tmp_path), tmp_path / "out"
    assert run(*fast(root, out, "--quiet")).exit_code == 0
    whole = files_under(out)
    damaged = image_path(root, "sub-01", "T1w")
    content = damaged.read_bytes()
    damaged.write_bytes(b"not an image")
    (root / "sub-02").rename(tmp_path / "sub-02")
    planned = run(*fast(root, out, "--dry-run"))
    assert f"would be moved to {out / '.left-out'}: sub-01, sub-02" in planned.stdout
    assert files_under(out) == whole
    result = run(*fast(root, out, "--json"))
    assert result.exit_code == 1
    assert json.loads(result.stdout)["moved_aside"] == ["sub-01", "sub-02"]
    assert survey(out, task=Task(modalities=("FLAIR", "T1w"))).usable == ()
    damaged.write_bytes(content)
    (tmp_path / "sub-02").rename(root / "sub-02")
    again = run(*fast(root, out, "--json"))
    assert json.loads(again.stdout)["moved_aside"] == []
    assert files_under(out) == whole, "nothing is left aside"


def test_a_case_that_fails_with_new_steps_leaves_nothing_made_by_the_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1 kB of memory is too little for any."""
    root, out = toy_site(tmp_path), tmp_path / "out"
    assert run(*fast(root, out, "--quiet")).exit_code == 0
    monkeypatch.setattr(site_work, "available_bytes", lambda: 1000)
    result = run(*fast(root, out, "--set", "preprocessing.spacing_mm=2"))
    assert result.exit_code == 1
    assert "prepared: 0, left out: 2" in result.stdout
    assert "from an earlier run, not in the folder any more: sub-01, sub-02" in result.stdout
    assert survey(out, task=Task(modalities=("FLAIR", "T1w"))).usable == ()


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_a_folder_without_a_case_says_why(tmp_path: Path, more: tuple[str, ...]) -> None:
    root = tmp_path / "bids"
    root.mkdir()
    result = run(*fast(root, tmp_path / "out", *more))
    assert result.exit_code == 1
    assert "blocking: (whole folder): no anatomical NIfTI image" in result.stdout
    result = run(*fast(root, tmp_path / "out", "--json", *more))
    assert result.exit_code == 1
    assert [finding["code"] for finding in json.loads(result.stdout)["findings"]] == ["no-images"]


def test_a_line_of_the_table_that_fits_no_case_is_reported(tmp_path: Path) -> None:
    """Both cases are good; the last line names no subject."""
    root, table = toy_site(tmp_path), tmp_path / "mapping.tsv"
    lines = [
        f"{subject}\t\t{modality}\t{subject}/anat/{subject}_{modality}.nii.gz"
        for subject in ("sub-01", "sub-02")
        for modality in ("FLAIR", "T1w")
    ]
    lines = ["subject\tsession\tmodality\tpath", *lines, "\t\tFLAIR\tx.nii.gz"]
    table.write_text("\n".join(lines) + "\n")
    result = run(*fast(root, tmp_path / "out", "--mapping", str(table)))
    assert result.exit_code == 1
    assert "prepared: 2, left out: 0" in result.stdout
    assert "blocking: (whole folder): " in result.stdout
