from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flwr.common.constant import ErrorCode

from server.events.failure_advice import ADVICE, UNKNOWN, advice

ROOT = Path(__file__).parents[3]
FILES = [path for room in ("client", "common", "server") for path in (ROOT / room).rglob("*.py")]
NOT_SENT = {"Finding", "FileNote", "JobOutcome"}
"""Classes whose code is for the site's own pages; each finding carries its own fix."""


def calls_with_a_code() -> Iterator[tuple[Path, str, ast.expr]]:
    """File, class and value of every `code=` that an error or a failure is made with."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = str(getattr(node.func, "attr", "") or getattr(node.func, "id", ""))
            if name[:1].isupper() and name not in NOT_SENT:
                yield from ((path, name, k.value) for k in node.keywords if k.arg == "code")


def codes_in_the_tree() -> set[str]:
    """Every code that is written out: in a class of errors, or where an error is raised."""
    codes = {value.value for _, _, value in calls_with_a_code() if isinstance(value, ast.Constant)}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                for line in node.body:
                    match line:
                        case ast.Assign(
                            targets=[ast.Name(id="code")], value=ast.Constant(value=str(code))
                        ):
                            codes.add(code)
    return {code for code in codes if isinstance(code, str)}


def test_every_code_that_can_arrive_has_its_advice() -> None:
    codes = codes_in_the_tree()
    assert {"no-gpu", "bundle-has-code", "quorum", "absent"} <= codes  # the walk finds them
    assert codes - ADVICE.keys() == set()


def test_every_number_of_flowers_has_its_advice() -> None:
    numbers = {v for k, v in vars(ErrorCode).items() if k.isupper() and isinstance(v, int)}
    assert len(numbers) == 9
    assert {f"flower-{number}" for number in numbers} - ADVICE.keys() == set()


def test_no_code_is_put_together_from_data() -> None:
    """A code is a word of ours: nothing of a subject or a path can be in it."""
    made = {
        f"{path.relative_to(ROOT).as_posix()}: {name}"
        for path, name, value in calls_with_a_code()
        if not isinstance(value, ast.Constant | ast.Attribute | ast.Name)
    }
    assert {place for place in made if not place.startswith("server/rounds/")} == set()


@pytest.mark.parametrize("code", sorted(ADVICE))
def test_an_advice_is_one_short_sentence_for_a_code_that_can_travel(code: str) -> None:
    assert re.fullmatch(r"[a-z0-9-]{1,60}", code)
    assert advice(code).endswith(".")
    assert 30 <= len(advice(code)) <= 200


def test_a_code_of_another_version_is_said_to_be_unknown() -> None:
    assert advice("made-up-tomorrow") == UNKNOWN
