from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from common.errors import ConfigError
from server.cli import main
from server.run.run_folder import RunFolder
from tests.toy_sites import write_site

TINY = [
    "--quiet",
    "--set",
    "network.widths=[4, 4, 8, 8]",
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


@pytest.fixture(scope="module")
def porto(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("porto")
    made = write_site(base, name="porto", seed=1, n_subjects=1, label="porto")
    return made.parent / "bids"


def test_the_result_is_printed_as_json(
    lyon: Path, porto: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    arguments = ["simulate", "--site", f"lyon={lyon}", "--held-out", f"porto={porto}", "--json"]
    assert main([*arguments, "--out", str(out), *TINY]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["status"] == "completed"
    assert result["selected_round"] == 1
    assert result["unseen"]["porto"].keys() == {"round 0", "intensity threshold", "end"}
    assert Path(result["report"]).is_file()


@pytest.mark.usefixtures("no_charts")
def test_one_site_of_all_folders_trains_with_the_steps_of_all_and_is_resumed_alone(
    lyon: Path, porto: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ghent = write_site(tmp_path / "ghent", name="ghent", seed=2, n_subjects=1, label="ghent").parent
    out = tmp_path / "run"
    sites = ["--site", f"lyon={lyon}", "--site", f"ghent={ghent / 'bids'}"]
    options = ["--pooled", "--no-images", "--json"]
    arguments = ["simulate", *sites, "--held-out", f"porto={porto}", *options]
    assert main([*arguments, "--out", str(out), *TINY]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "completed"
    folder = RunFolder(out)
    assert [site.name for site in folder.consortium().sites] == ["pooled"]
    assert folder.recipe().optimizer.steps == 2
    assert main(["simulate", "--resume", str(out), "--pooled"]) != 0
    assert "leave out --pooled" in capsys.readouterr().err


def test_pooled_and_alone_are_refused_together(
    lyon: Path, porto: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sites = ["--site", f"lyon={lyon}", "--held-out", f"porto={porto}", "--alone", "lyon"]
    assert main(["simulate", *sites, "--pooled", "--out", str(tmp_path / "run"), *TINY]) != 0
    assert "--pooled takes every --site, and --alone one of them" in capsys.readouterr().err


def test_a_report_without_images_holds_none(lyon: Path, porto: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = ["simulate", "--site", f"lyon={lyon}", "--held-out", f"porto={porto}"]
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
        pytest.param(
            ["--site", "a=.", "--site", "b=.", "--pooled", "--held-out", "a=."],
            "site 'a' is named twice",
            id="pooled, and held out",
        ),
        pytest.param(["--site", "my site=."], "sites.0.name", id="a space in a name"),
        pytest.param(
            ["--site", "a=.", "--scale", "tiny"], "Invalid value for '--scale'", id="scale"
        ),
        pytest.param(
            ["--site", "a=.", "--site", "b=.", "--alone", "c"],
            "--alone c: want one of the sites a, b",
            id="alone, and not a site",
        ),
        pytest.param(
            ["--site", "a=.", "--held-out", "c=.", "--alone", "c"],
            "--alone c: want one of the sites a",
            id="alone, and held out",
        ),
        pytest.param(
            ["--site", "a=.", "--recipe", "galassi2019", "--variant", "bth"],
            "no variant 'bth'; want one of base, standardization, generalized-dice, both",
            id="no such variant",
        ),
        pytest.param(
            ["--site", "a=.", "--variant", "both"],
            "no variant 'both'; want one of none: it has no [variants.*] tables",
            id="a recipe without variants",
        ),
        pytest.param(
            ["--site", "a=.", "--lesion-masks", "/nowhere/at/all"],
            "Invalid value for '--lesion-masks'",
            id="no folder of masks",
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
    assert "leave out --rounds" in capsys.readouterr().err


@pytest.mark.usefixtures("no_charts")
def test_one_site_alone_trains_with_the_recipes_own_rounds(
    lyon: Path, porto: Path, tmp_path: Path
) -> None:
    sites = ["--site", f"lyon={lyon}", "--site", f"ghent={lyon}", "--alone", "ghent"]
    out = tmp_path / "run"
    arguments = ["simulate", *sites, "--held-out", f"porto={porto}", "--no-images"]
    assert main([*arguments, "--out", str(out), *TINY]) == 0
    consortium = RunFolder(out).consortium()
    assert [site.name for site in consortium.sites] == ["ghent"]
    assert RunFolder(out).recipe().federation.rounds == 1
    trained = [line for line in events_of(out) if line["event"] == "reply"]
    assert {line["site"] for line in trained} == {"ghent"}


@pytest.fixture
def laid_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs are laid out and not executed."""

    def not_executed(*_: object, **__: object) -> None:
        raise ConfigError("laid out, and that is enough here")

    monkeypatch.setattr("server.simulate.simulate", not_executed)


@pytest.mark.usefixtures("laid_out")
def test_a_variant_and_what_is_set_beside_it_are_in_the_runs_recipe(
    lyon: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    recipe = ["--recipe", "galassi2019", "--variant", "base", "--set", "optimizer.steps=3"]
    assert main(["simulate", "--site", f"lyon={lyon}", "--out", str(out), *recipe]) == 2
    settings = RunFolder(out).recipe()
    assert settings.standardization.method == "z-score"
    assert settings.loss.segmentation.name == "bce"
    assert settings.optimizer.steps == 3


@pytest.mark.usefixtures("laid_out")
def test_the_folder_of_masks_is_written_down_for_a_run_that_is_resumed(
    lyon: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    masks, out = tmp_path / "masks", tmp_path / "run"
    masks.mkdir()
    monkeypatch.chdir(tmp_path)
    arguments = ["simulate", "--recipe", "kamraoui2021", "--site", f"lyon={lyon}"]
    assert main([*arguments, "--lesion-masks", "masks", "--out", str(out)]) == 2
    assert RunFolder(out).consortium().lesion_masks == masks.resolve()  # from anywhere


@pytest.mark.usefixtures("laid_out")
def test_masks_for_a_recipe_that_learns_nothing_from_them_are_refused(
    lyon: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["simulate", "--site", f"lyon={lyon}", "--lesion-masks", str(tmp_path)]
    assert main([*arguments, "--out", str(tmp_path / "run")]) == 2
    assert "recipe 'default' has no loss.lesion_wise" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("option", "value"), [("--alone", "lyon"), ("--variant", "both"), ("--lesion-masks", ".")]
)
def test_what_a_run_was_laid_out_with_is_refused_beside_resume(
    option: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", "--resume", str(tmp_path), option, value]) == 2
    assert f"leave out {option}" in capsys.readouterr().err


def events_of(run: Path) -> list[dict[str, Any]]:
    lines = RunFolder(run).events_file.read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]
