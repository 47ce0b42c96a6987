from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from common.cli.run import run
from server.cli.leave_site_out import leave_site_out
from tests.toy_sites import write_site

TINY = [
    *("--set", "network.widths=[4, 4, 8, 8]"),
    *("--set", "network.first_stride=1"),
    *("--set", "sampling.patch_shape=[32, 32, 32]"),
    *("--set", "optimizer.steps=1"),
    *("--set", "compute.threads=1"),
    *("--rounds", "1"),
]


def main(arguments: list[str]) -> int:
    app = typer.Typer(add_completion=False)
    app.command()(leave_site_out)
    return run(app, arguments, name="leave-site-out")


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options of three toy sites with one subject each."""
    base = tmp_path_factory.mktemp("sites")
    options = []
    for seed, name in enumerate(("lyon", "ghent", "turin")):
        folder = (
            write_site(base / name, name=name, seed=seed, label=name, n_subjects=1).parent / "bids"
        )
        options += ["--site", f"{name}={folder}"]
    return options


@pytest.mark.usefixtures("no_charts")
def test_a_study_shows_its_progress_and_its_result_and_continues_from_what_is_there(
    sites: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    out = Path("studies/first")  # relative, as a user types it
    assert main([*sites, *TINY, "--out", str(out)]) == 0
    shown = capsys.readouterr()
    assert "run 1 of 9: federated, without lyon\n" in shown.err
    assert "run 9 of 9: local, turin alone; about" in shown.err
    assert "FLAIR" in shown.out
    assert f"report  {out / 'leave-site-out.html'}" in shown.out

    assert main(["--resume", str(out), "--json"]) == 0
    again = capsys.readouterr()
    assert "run 1 of 9" not in again.err
    result = json.loads(again.out)
    assert [entry["failed"] for entry in result["runs"]] == [None] * 9
    assert len(result["matrix"]) == 15
    assert {row["method"] for row in result["table"]} == {
        "federated", "pooled", "local", "baseline",
    }  # fmt: skip

    assert main([*sites, *TINY, "--set", "seed=1", "--out", str(out)]) == 1
    assert "began with another plan (the recipe differ)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        pytest.param([], 2, "want at least 3 sites, got 0", id="no site"),
        pytest.param(
            ["--resume", ".", "--rounds", "3"], 2, "leave out --rounds", id="settings beside resume"
        ),
        pytest.param(["--resume", "nowhere"], 1, "is no leave-site-out study", id="no study"),
    ],
)
def test_what_cannot_be_done_is_said(
    options: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(options) == code
    assert words in capsys.readouterr().err
