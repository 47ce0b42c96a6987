from __future__ import annotations

import logging
import typing
from pathlib import Path
from typing import Any

import pytest

from client import handle as handle_module
from client.handle import ANSWERS, handle
from client.site.settings import Policy, Site
from common.errors import PolicyRefused, SiteDataError
from common.recipe.recipe import load_recipe
from common.wire.messages import Assignment, Request, SiteFailure, StatisticsRequest

RECIPE = load_recipe("default")
OTHER = "0" * 64


@pytest.fixture(autouse=True)
def admitted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every request that is let in ends with the code `no-cases`."""

    def refuse(*_: object) -> None:
        raise SiteDataError("let in", code="no-cases")

    monkeypatch.setattr(handle_module, "describe_site", refuse)


def code_of(place: Site, **changed: Any) -> str:
    fields: dict[str, Any] = {
        "run": "r",
        "phase": "statistics",
        "round_index": 1,
        "recipe": RECIPE.canonical_json(),
        "code_digest": OTHER,
        "site": "lyon",
        "site_index": 0,
        "n_sites": 1,
        "exchange_id": "a" * 32,
    }
    reply = handle(StatisticsRequest(assignment=Assignment(**fields | changed)), place)
    assert isinstance(reply, SiteFailure)
    return reply.code


def lyon(folder: Path, *recipes: str) -> Site:
    return Site(name="lyon", data=folder, work=folder / "work", policy=Policy(recipes=recipes))


def test_every_request_has_an_answer_by_a_function_that_takes_it() -> None:
    assert list(ANSWERS) == list(typing.get_args(Request))
    of_functions = {cls: f for cls, f in ANSWERS.items() if cls is not StatisticsRequest}
    for cls, answer in of_functions.items():
        assert typing.get_type_hints(answer)["request"] is cls


def test_a_recipe_that_asks_for_too_much_is_refused_before_any_work(tmp_path: Path) -> None:
    greedy = load_recipe("default", overrides=["compute.threads=1000000000"])
    assert code_of(lyon(tmp_path), recipe=greedy.canonical_json()) == "site-limits"


@pytest.mark.parametrize("recipe", ["[" * 100_000, "null", "1" * 5000, '"text"'])
def test_a_recipe_that_is_none_is_a_message_that_cannot_be_read(
    tmp_path: Path, recipe: str
) -> None:
    assert code_of(lyon(tmp_path), recipe=recipe) == "wire"


@pytest.mark.parametrize(
    ("approved", "code"),
    [
        ((), "no-cases"),
        ((OTHER, RECIPE.sha256()), "no-cases"),
        ((OTHER,), "recipe-not-approved"),
    ],
)
def test_only_approved_recipes_are_let_in_where_the_hospital_names_some(
    tmp_path: Path, approved: tuple[str, ...], code: str
) -> None:
    assert code_of(lyon(tmp_path, *approved)) == code


def test_the_hospital_reads_which_digest_it_has_not_approved() -> None:
    with pytest.raises(PolicyRefused, match=f"the digest {OTHER}, and .* approves 111111111111"):
        Policy(recipes=("1" * 64,)).require_approved(OTHER)


def test_the_reason_stays_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        code_of(lyon(tmp_path, OTHER))
    assert f"approves {OTHER[:12]}" in caplog.text
