from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from client.cli import main
from client.cli.prepare import prepare
from common.imaging.intake import examine
from tests.client.prepare.orders import FAST, files_under, toy_site
from tests.volumes import image_path

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


def test_a_second_run_finds_everything_there_and_changes_nothing(tmp_path: Path) -> None:
    root, out = toy_site(tmp_path), tmp_path / "out"
    first = run(*fast(root, out, "--json"))
    assert first.exit_code == 0, first.output
    assert [case["result"] for case in json.loads(first.stdout)["cases"]] == ["prepared"] * 2
    before = files_under(out)
    began = time.monotonic()
    second = run(*fast(root, out, "--json"))
    assert time.monotonic() - began < 4, "2 s a case"
    assert [case["result"] for case in json.loads(second.stdout)["cases"]] == ["cached"] * 2
    assert files_under(out) == before
    planned = run(*fast(root, out, "--dry-run"))
    assert planned.stdout.count("cached") == 2
    (out / "qc" / "sub-02.html").unlink()
    third = run(*fast(root, out, "--json"))
    assert [case["result"] for case in json.loads(third.stdout)["cases"]] == ["cached", "drawn"]
    assert files_under(out) == before


def test_a_case_that_cannot_be_prepared_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    root, out = toy_site(tmp_path), tmp_path / "out"
    image_path(root, "sub-01", "T1w").write_bytes(b"not an image")
    result = run(*fast(root, out))
    assert result.exit_code == 1
    assert "quarantined" in result.stdout
    assert "prepared: 1, left out: 1" in result.stdout
    usable = examine(out, modalities=("FLAIR", "T1w")).usable
    assert [case.name for case in usable] == ["sub-02"]
    index = (out / "qc" / "index.html").read_text()
    assert "sub-02.html" in index
    assert "sub-01.html" not in index


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


def test_killed_in_the_middle_it_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    """SIGKILL to the command and its worker once the first case is there."""
    root = toy_site(tmp_path)
    program = "from client.cli import main; raise SystemExit(main())"

    def start(out: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", program, "prepare", *fast(root, out, "--quiet")],
            cwd=ROOT,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
        )

    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = start(killed)
    deadline = time.monotonic() + 120
    while not (killed / "sub-01" / "anat").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
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
