from __future__ import annotations

import json
from pathlib import Path

import pytest

from common.errors import SiteDataError
from server.cli import main
from server.run.run_folder import RunFolder
from tests.toy_sites import write_site

RECIPE = """
{default}

[variants.a]
"loss.site.name" = "none"

[variants.b]
"loss.site.weight" = 0.1
"""
TINY = [
    *("--set", "network.widths=[4, 4, 8, 8]"),
    *("--set", "network.first_stride=1"),
    *("--set", "sampling.patch_shape=[32, 32, 32]"),
    *("--set", "optimizer.steps=1"),
    *("--set", "compute.threads=1"),
    *("--rounds", "1"),
]


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options of two toy sites that train and one unseen, with one subject each."""
    base = tmp_path_factory.mktemp("sites")
    options = []
    for seed, (name, option) in enumerate(
        (("lyon", "--site"), ("ghent", "--site"), ("oslo", "--held-out"))
    ):
        folder = (
            write_site(base / name, name=name, seed=seed, label=name, n_subjects=1).parent / "bids"
        )
        options += [option, f"{name}={folder}"]
    return options


@pytest.fixture
def recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """A recipe of one's own with two methods to compare."""
    assert main(["recipes", "show", "default", "--toml"]) == 0
    file = tmp_path / "mine.toml"
    file.write_text(RECIPE.format(default=capsys.readouterr().out), encoding="utf-8")
    return str(file)


def test_a_site_that_one_of_the_methods_cannot_use_is_refused_before_any_network(
    sites: list[str], recipe: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Path(recipe).open("a", encoding="utf-8") as file:
        file.write('\n[variants.t2w]\n"task.modalities" = ["FLAIR", "T2w"]\n')
    assert main(["study", "--recipe", recipe, *sites, *TINY, "--out", str(tmp_path / "s")]) == 1
    assert "want at least one usable case with FLAIR, T2w" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


@pytest.mark.usefixtures("no_charts")
def test_all_methods_of_a_recipe_are_compared_and_what_is_finished_is_kept(
    sites: list[str],
    recipe: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "study"
    assert main(["study", "--recipe", recipe, *sites, *TINY, "--out", str(out)]) == 0
    shown = capsys.readouterr()
    assert "run 1 of 2: a, seed 0\n" in shown.err
    assert "run 2 of 2: b, seed 0; about" in shown.err
    assert f"report   {out / 'study.html'}" in shown.out
    assert (out / "b" / "seed-0" / "model.safetensors").is_file()

    assert main(["study", "--resume", str(out), "--paper", "aslani2020", "--json"]) == 0
    again = capsys.readouterr()
    assert "run 1 of 2" not in again.err
    result = json.loads(again.out)
    assert [(run["variant"], run["failed"]) for run in result["runs"]] == [("a", None), ("b", None)]
    assert result["paper"]["columns"] == ["DSC", "LTPR", "LFPR", "PPV"]
    assert "random (as published)" in (out / "paper-table.md").read_text(encoding="utf-8")

    one = ["study", "--recipe", recipe, "--variant", "a", *sites, *TINY, "--out", str(out)]
    assert main(one) == 1
    assert "another plan (the methods or their recipes differ)" in capsys.readouterr().err

    runs = [str(out / name / "seed-0") for name in ("a", "b")]
    paper = ["--paper", "hussein2023", "--out", str(tmp_path / "paper"), "--common-cases"]
    monkeypatch.chdir(out)
    assert main(["compare", "a/seed-0", "b/seed-0", *paper]) == 0
    assert "P-sens" in capsys.readouterr().out
    written = {path.name for path in (tmp_path / "paper").iterdir()}
    assert {"paper-table.md", "threshold-v-f1.svg", "split.svg"} <= written
    assert main(["compare", *runs, "--out", str(tmp_path)]) == 2
    assert "say which with --paper" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        pytest.param([], 2, "want --held-out NAME=PATH", id="no unseen site"),
        pytest.param(["--seeds", "0,x"], 2, "want whole numbers", id="no number"),
        pytest.param(["--resume", ".", "--seeds", "3"], 2, "leave out --seeds", id="beside resume"),
        pytest.param(["--resume", "nowhere"], 1, "is no study of methods", id="no study"),
        pytest.param(["--variant", "nothing"], 2, "nothing", id="no such variant"),
    ],
)
def test_what_cannot_be_done_is_said(
    options: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["study", *options]) == code
    assert words in capsys.readouterr().err


def test_a_study_with_a_failed_run_ends_with_1_and_counts_its_cases_as_planned(
    sites: list[str],
    recipe: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(_folder: RunFolder, **_options: object) -> None:
        raise SiteDataError("lyon: no lesion in it")

    monkeypatch.setattr("server.studies.run_study.simulate", fails)
    out = tmp_path / "study"
    options = ["--recipe", recipe, "--variant", "b", "--seeds", "3,4", *sites, *TINY, "--quiet"]
    assert main(["study", *options, "--out", str(out)]) == 1
    shown = capsys.readouterr().out
    assert f"failed  {out / 'b' / 'seed-4'}: not run yet" in shown
    assert "0 / 2" in (out / "paper-table.txt").read_text(encoding="utf-8")
    assert "2 of 2 runs have no result" in (out / "study.html").read_text(encoding="utf-8")
