"""A phase that the product does not have, added as its docstring says, over the inline engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic.dataclasses import dataclass

from client import handle
from client.site.settings import Site
from common.recipe.recipe import Recipe, load_recipe
from common.wire import codec
from common.wire.field_types import CHECKED, Count
from common.wire.messages import Assignment
from server.events.event_log import EventLog
from server.inline import InlineGrid, inline_key
from server.rounds.exchange import Communicator
from server.rounds.loop import run_phases
from server.rounds.phase import Exchange, Phase
from server.rounds.sealer import Sealer
from server.run.run_folder import Consortium, EnrolledSite
from server.run.run_state import RunState


@dataclass(frozen=True, kw_only=True, slots=True, config=CHECKED)
class LettersRequest:
    assignment: Assignment
    times: Count


@dataclass(frozen=True, kw_only=True, slots=True, config=CHECKED)
class LettersReply:
    n_letters: Count


def count_letters(request: LettersRequest, recipe: Recipe, site: Site) -> LettersReply:
    """The site's half: how many letters its name has, so many times."""
    return LettersReply(n_letters=request.times * len(site.name))


class LettersPhase(Phase):
    """The server's half: two rounds; each adds up the letters, once, then twice."""

    name = "letters"
    n_rounds = 2

    def round(self, state: RunState) -> Generator[Exchange, None, RunState]:
        n_letters: dict[str, int] = {}

        def accumulate(site: str, reply: LettersReply) -> Mapping[str, object]:
            n_letters[site] = reply.n_letters
            return {"n_letters": reply.n_letters}

        yield Exchange(
            request=lambda assignment: cast(
                Any, LettersRequest(assignment=assignment, times=state.round_index + 1)
            ),
            reply=LettersReply,
            accumulate=accumulate,
        )
        total = (state.baseline_threshold or 0) + sum(n_letters.values())
        return dataclasses.replace(state, baseline_threshold=total)


def test_a_new_phase_is_a_class_a_function_and_a_line_in_each_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lyon and ghent have 9 letters: 9 in the first round and 18 in the second are 27."""
    for message in (LettersRequest, LettersReply):
        monkeypatch.setitem(cast(Any, codec._BY_NAME), message.__name__, message)
    monkeypatch.setitem(cast(Any, handle.ANSWERS), LettersRequest, count_letters)
    site_files = {name: tmp_path / name / "site.toml" for name in ("lyon", "ghent")}
    for name, file in site_files.items():
        file.parent.mkdir()
        file.write_text(f'name = "{name}"\ndata = "bids"\nwork = "work"\n', encoding="utf-8")
    sites = tuple(EnrolledSite(name=name, public_key=inline_key(name)) for name in site_files)
    communicator = Communicator(
        InlineGrid(site_files),
        consortium=Consortium(run="r", sites=sites),
        recipe=load_recipe("default"),
        events=EventLog(tmp_path / "events.jsonl"),
        sealer=Sealer(sitting=1),
    )
    saved: list[RunState] = []

    def evaluate(state: RunState) -> RunState:
        pytest.fail("a phase is not evaluated unless it says so")

    last = run_phases(
        [LettersPhase()],
        RunState(),
        run_exchange=communicator.run_exchange,
        evaluate=evaluate,
        save=saved.append,
    )
    assert last.baseline_threshold == 27
    assert [(state.phase, state.round_index) for state in saved] == [("letters", 1), ("letters", 2)]
