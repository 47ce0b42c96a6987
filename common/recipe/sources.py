"""Where a paper states each value of a recipe that is marked [stated]: the section, and its words.

    paper = "Aslani et al. 2020, arXiv:1910.10035"
    "optimizer.learning_rate" = { section = "training", words = "Adam, 1e-4" }

The file has the recipe's name and lies in the folder `sources` beside it. It is no part of the
experiment: it changes no digest of a recipe.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import StringConstraints

from common.errors import ConfigError
from common.settings import Settings, read_toml

MOST_WORDS = 15
"""A place in a paper is quoted so that it can be found, not so that it need not be read."""

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Source(Settings):
    """The place where a paper states a value."""

    section: Text
    words: Text
    """At most 15, enough to find the place."""
    quoted: bool = False
    """true: the words stand so in the paper; false: they are its content in our words."""
    paper: Text

    @property
    def as_text(self) -> str:
        """`section: "words"`, or the words without quotation marks, as we read the paper."""
        return f'{self.section}: "{self.words}"' if self.quoted else f"{self.section}: {self.words}"


def read_sources(recipe_file: Path) -> dict[str, Source]:
    """Dotted key of a recipe's value -> where a paper states it; empty where no file says so.

    recipe_file   of a recipe; keys are those of `read_provenance`
    ConfigError where the file beside it has an entry without a section, or with too many words.
    """
    path = recipe_file.parent / "sources" / recipe_file.name
    if not path.is_file():
        return {}
    table = read_toml(path)
    paper = table.pop("paper", None)
    found = {}
    for key, entry in table.items():
        if not isinstance(entry, dict):
            raise ConfigError(
                f"{path}: {key}: want a table with section and words, got {entry!r}. "
                "Write the key in quotation marks, and the table in braces."
            )
        source = Source.from_table({"paper": paper, **entry}, where=f"{path}: {key}")
        if (n := len(source.words.split())) > MOST_WORDS:
            raise ConfigError(
                f"{path}: {key}: want at most {MOST_WORDS} words, got {n}. Keep those by which the "
                "place in the paper is found."
            )
        found[key] = source
    return found
