from __future__ import annotations

import json

import pytest

from common.recipe.recipe import shipped_recipes
from common.recipe.sources import read_sources
from server.cli import main


@pytest.mark.parametrize("arguments", [["recipes"], ["recipes", "list"]])
def test_the_recipes_are_listed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(shipped_recipes())
    assert main([*arguments, "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)) == list(shipped_recipes())


def test_a_recipe_shows_whose_choice_each_value_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "show", "aslani2020", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    rows = {row["key"]: row for row in facts["settings"]}
    assert rows["optimizer.learning_rate"]["value"] == 1e-4
    assert rows["optimizer.learning_rate"]["kind"] == "stated"
    assert rows["network.norm"]["kind"] == "chosen"
    assert "unseen site" in rows["network.norm"]["words"]
    assert rows["optimizer.decay"]["kind"] == "chosen"
    assert rows["task.raters"] == {
        "key": "task.raters", "value": 0, "kind": "default", "words": "",
        "source": None, "stated_in": None,
    }  # fmt: skip
    assert {row["key"] for row in facts["small"]} >= {"optimizer.steps", "federation.rounds"}


def test_a_stated_value_is_shown_with_the_place_in_its_paper(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    assert main(["recipes", "show", "galassi2019"]) == 0
    shown = capsys.readouterr().out
    assert "Galassi et al. 2019" in shown
    assert 'network: "two-CNN 3D patch-wise cascaded network"' in shown
    assert 'Valverde 2017, code nicMSlesions, config/default.cfg: "t_bin = 0.8"' in shown
    assert "images: T1w and FLAIR of each patient" in shown  # ours: no quotation marks


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("name", list(shipped_recipes()))
def test_no_line_is_wider_than_the_terminal_and_no_word_of_a_source_is_cut(
    name: str,
    columns: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(["recipes", "show", name]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= columns
    letters = "".join("".join(line.split("│")[3:4]) for line in lines).replace(" ", "")
    for source in read_sources(shipped_recipes()[name]).values():
        assert source.words.replace(" ", "") in letters


@pytest.mark.parametrize("name", list(shipped_recipes()))
def test_every_recipe_is_shown_as_tables(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "show", name]) == 0
    shown = capsys.readouterr().out
    assert "[optimizer]" in shown
    assert "learning_rate" in shown
    assert "--scale small" in shown


def test_the_file_is_printed_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "show", "default", "--toml"]) == 0
    assert capsys.readouterr().out == shipped_recipes()["default"].read_text(encoding="utf-8")


def test_a_recipe_that_is_not_there_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "show", "nothing"]) == 2
    assert "no recipe named 'nothing'" in capsys.readouterr().err
