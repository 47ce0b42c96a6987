"""What a run's events say of what counts: checkpoints and rounds, over every cut and resume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from server.run.checkpoint import load_checkpoint
from server.run.run_folder import RunFolder
from tests.hosts.consortium import events_of

Where = tuple[str, int]

CHECKPOINTS: list[Where] = [
    ("statistics", 1),
    ("baseline", 1),
    ("training", 0),
    ("training", 1),
    ("training", 2),
    ("threshold", 1),
    ("site-probe", 1),
]
"""Of a whole toy run, in order; before the first round of training its start is saved. One that is
saved again, because it was judged since, stands here once."""

ROUNDS = [where for where in CHECKPOINTS if where[1] > 0]


@dataclass(slots=True)
class History:
    """What counts in the end.

    checkpoints   phase and round of each, without those that a resumed run went back behind
    rounds        those that were finished and are part of a checkpoint
    faults        what must not be, as sentences; empty where all is well
    """

    checkpoints: list[Where] = field(default_factory=list)
    rounds: list[Where] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def history_of(events: Sequence[dict[str, Any]]) -> History:
    """What counts, from the events in order.

    A checkpoint is written before its event: a cut between the two shows when the run is resumed,
    and its round counts.
    """
    found, number, just_resumed = History(), 0, False
    replies: list[str] = []
    for event in events:
        where: Where = (event.get("phase", ""), event.get("round", 0))
        match event["event"]:
            case "run-resumed":
                _go_on_from(found, where)
                just_resumed = True
            case "round-started":
                replies = []
            case "reply":
                if event["site"] in replies:
                    found.faults.append(f"{where}: {event['site']} counts twice")
                replies.append(event["site"])
            case "round-finished":
                is_second_exchange = where[0] == "site-probe" and where in found.rounds[-1:]
                found.rounds += [] if is_second_exchange else [where]
                if event["n_replies"] != len(replies):
                    found.faults.append(f"{where}: {event['n_replies']} counted, got {replies}")
            case "checkpoint":
                number_now = int(event["file"].partition("-")[0])
                if number_now not in (number + 1, number + 1 + just_resumed):
                    found.faults.append(f"{where}: checkpoint {number_now} follows {number}")
                number, just_resumed = number_now, False
                found.checkpoints += [where] if where not in found.checkpoints[-1:] else []
    return found


def require_each_round_once(run: RunFolder) -> None:
    """Nothing for a whole toy run; AssertionError where a round was lost or counted twice."""
    found = history_of(events_of(run))
    assert found.faults == []
    assert found.checkpoints == CHECKPOINTS
    assert found.rounds == ROUNDS
    state = load_checkpoint(run.checkpoints)
    assert state is not None
    assert (state.phase, state.round_index) == CHECKPOINTS[-1]
    assert state.selected is not None
    assert state.selected.round_index == 2
    assert run.model_file.exists()


def _go_on_from(found: History, where: Where) -> None:
    """Takes back what came after the checkpoint that a resumed run continues from."""
    if where == ("", 0):
        if found.checkpoints:
            found.faults.append(f"resumed from nothing after {found.checkpoints[-1]}")
    elif where not in found.checkpoints:
        found.checkpoints.append(where)
    elif where != found.checkpoints[-1]:
        found.faults.append(f"resumed from {where} after {found.checkpoints[-1]}")
    found.rounds = [done for done in found.rounds if done in found.checkpoints]
