"""Every message on the page is one that the program says."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
HOLE = "\0"
"""Stands for what an f-string fills in."""


def fragments() -> list[str]:
    """The first code span of each row of a table."""
    return re.findall(r"(?m)^\| `([^`]+)` \|", PAGE)


@cache
def texts() -> tuple[str, ...]:
    """Every text in our packages, as it is put together, with a hole for each value."""
    found = []
    for room in ("client", "common", "server", "lesionfed.py"):
        place = ROOT / room
        for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    parts = [p.value if isinstance(p, ast.Constant) else HOLE for p in node.values]
                    found.append("".join(map(str, parts)))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
    return tuple(found)


def is_said(fragment: str) -> bool:
    """Whether one text holds the fragment's parts in this order; … stands for anything."""
    pattern = re.compile(".*".join(map(re.escape, fragment.split("…"))), re.DOTALL)
    return any(pattern.search(text) for text in texts())


@pytest.mark.parametrize("fragment", fragments())
def test_the_message_is_one_of_the_program_s(fragment: str) -> None:
    assert is_said(fragment)


def test_a_message_that_nobody_says_is_noticed() -> None:
    assert not is_said("the certificate expired on a Sunday")
    assert not is_said("nothing listens there … refuses connections")


def test_every_row_begins_with_a_message() -> None:
    rows = re.findall(r"(?m)^\| (?!what you see|---)(.+)$", PAGE)
    assert len(fragments()) == len(rows) > 40
