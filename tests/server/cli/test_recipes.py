from __future__ import annotations

import json

import pytest

from common.recipe.recipe import shipped_recipes
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
    }  # fmt: skip
    assert {row["key"] for row in facts["small"]} >= {"optimizer.steps", "federation.rounds"}


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
