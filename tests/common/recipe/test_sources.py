from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import ConfigError
from common.recipe.provenance import read_provenance
from common.recipe.recipe import shipped_recipes
from common.recipe.sources import MOST_WORDS, Source, read_sources


@pytest.mark.parametrize("name", list(shipped_recipes()))
def test_every_stated_value_has_the_place_in_its_paper_and_no_other_value_has_one(
    name: str,
) -> None:
    file = shipped_recipes()[name]
    marks = read_provenance(file.read_text(encoding="utf-8"))
    stated = {key for key, found in marks.items() if "stated" in found.kind}
    assert sorted(read_sources(file).keys() ^ stated) == []


def test_no_sources_lie_beside_a_recipe_that_is_not_there() -> None:
    folder = shipped_recipes()["default"].parent / "sources"
    assert {path.name for path in folder.iterdir()} <= {
        f"{name}.toml" for name in shipped_recipes()
    }


def test_what_is_taken_from_another_paper_is_marked_so() -> None:
    sources = read_sources(shipped_recipes()["galassi2019"])
    assert sources["network.name"].paper.startswith("Galassi et al. 2019")
    assert sources["network.dropout"].paper == "Valverde 2017"


def test_only_words_that_stand_in_the_paper_have_quotation_marks() -> None:
    source = {"section": "loss", "words": "alpha", "paper": "P"}
    assert Source.model_validate(source).as_text == "loss: alpha"
    assert Source.model_validate(source | {"quoted": True}).as_text == 'loss: "alpha"'


def test_a_recipe_without_a_file_beside_it_has_no_sources(tmp_path: Path) -> None:
    assert read_sources(tmp_path / "mine.toml") == {}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('"a" = { section = " ", words = "w" }', r"a\.toml: a:\n  section: .*at least 1"),
        ('"a" = { section = "s" }', r"words: missing"),
        ('"a" = { section = "s", words = "w", said = 1 }', r"said: unknown key"),
        ('"a" = "s"', r"a: want a table with section and words, got 's'"),
        (f'"a" = {{ section = "s", words = "{"w " * 16}" }}', r"want at most 15 words, got 16"),
    ],
)
def test_a_fault_in_the_file_is_named_with_its_key(tmp_path: Path, text: str, fault: str) -> None:
    assert MOST_WORDS == 15
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "a.toml").write_text(f'paper = "P"\n{text}\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=fault):
        read_sources(tmp_path / "a.toml")
