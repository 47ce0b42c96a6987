from __future__ import annotations

import json
from pathlib import Path

import pytest

from server.cli import main
from tests.toy_sites import write_site

TINY = [
    "--quiet",
    "--set",
    "network.widths=[4, 4, 8, 8, 8]",
    "--set",
    "network.first_stride=1",
    "--set",
    "sampling.patch_shape=[32, 32, 32]",
    "--set",
    "optimizer.steps=1",
    "--rounds",
    "1",
]


@pytest.fixture(scope="module")
def lyon(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("lyon")
    return write_site(base, name="lyon", seed=0, n_subjects=1).parent / "bids"


def test_the_result_is_printed_as_json(
    lyon: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    arguments = ["simulate", "--site", f"lyon={lyon}", "--held-out", f"porto={lyon}", "--json"]
    assert main([*arguments, "--out", str(out), *TINY]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["status"] == "completed"
    assert result["selected_round"] == 1
    assert result["unseen"]["porto"].keys() == {"round 0", "intensity threshold", "end"}
    assert Path(result["report"]).is_file()


def test_a_report_without_images_holds_none(lyon: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = ["simulate", "--site", f"lyon={lyon}", "--held-out", f"porto={lyon}"]
    assert main([*arguments, "--no-images", "--out", str(out), *TINY]) == 0
    assert "data:image/png" not in (out / "report.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param([], "want at least one --site NAME=PATH", id="no site"),
        pytest.param(["--site", "lyon"], "--site 'lyon': want NAME=PATH", id="no path"),
        pytest.param(
            ["--site", "lyon=/nowhere/at/all"],
            "--site 'lyon=/nowhere/at/all': no such folder. Give the site's BIDS folder.",
            id="missing folder",
        ),
        pytest.param(
            ["--site", "a=.", "--site", "a=."], "the name 'a' is given twice", id="same name"
        ),
        pytest.param(
            ["--site", "a=.", "--set", "optimizer.stps=3"],
            "optimizer.stps: unknown key; did you mean 'steps'?",
            id="misspelt key",
        ),
        pytest.param(
            ["--site", "a=.", "--recipe", "galasi"], "no recipe named 'galasi'", id="no recipe"
        ),
        pytest.param(
            ["--site", "a=.", "--held-out", "a=."], "site 'a' is named twice", id="two roles"
        ),
        pytest.param(["--site", "my site=."], "sites.0.name", id="a space in a name"),
        pytest.param(
            ["--site", "a=.", "--scale", "tiny"], "Invalid value for '--scale'", id="scale"
        ),
    ],
)
def test_what_was_asked_for_wrongly_ends_with_2_and_says_why(
    options: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", "--out", str(tmp_path / "run"), *options]) == 2
    assert words in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run").exists()


def test_a_run_that_fails_ends_with_1_and_leaves_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    out = tmp_path / "run"
    assert main(["simulate", "--site", f"lyon={empty}", "--out", str(out), *TINY]) == 1
    assert "lyon: SiteDataError (site-data)" in capsys.readouterr().err
    assert "This run failed" in (out / "report.html").read_text("utf-8")


def test_resuming_what_is_no_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", "--resume", str(tmp_path)]) == 1
    assert "is not a run folder" in capsys.readouterr().err


def test_settings_beside_resume_are_refused_rather_than_ignored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", "--resume", str(tmp_path), "--rounds", "50"]) == 2
    assert "leave out rounds" in capsys.readouterr().err


def test_the_recipes_are_listed_and_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes"]) == 0
    assert "aslani2020" in capsys.readouterr().out
    assert main(["recipes", "default"]) == 0
    assert 'method = "two-step"' in capsys.readouterr().out
