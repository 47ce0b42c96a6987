from __future__ import annotations

from typing import Any

from tests.hosts.history import history_of

A = {"event": "reply", "site": "site-a"}
B = {"event": "reply", "site": "site-b"}


def started(round_index: int) -> dict[str, Any]:
    return {"event": "round-started", "phase": "training", "round": round_index}


def finished(round_index: int, n_replies: int) -> dict[str, Any]:
    at = {"phase": "training", "round": round_index}
    return {"event": "round-finished", **at, "n_replies": n_replies}


def saved(round_index: int, number: int) -> dict[str, Any]:
    at = {"phase": "training", "round": round_index}
    return {"event": "checkpoint", **at, "file": f"{number:06d}-00.safetensors"}


def resumed(round_index: int) -> dict[str, Any]:
    return {"event": "run-resumed", "phase": "training", "round": round_index}


def test_a_round_that_was_cut_off_counts_once_when_it_is_held_again() -> None:
    first = [started(1), A, B, finished(1, 2), saved(1, 1)]
    cut = [started(2), A, resumed(1)]
    again = [started(2), A, B, finished(2, 2), saved(2, 2)]
    found = history_of([*first, *cut, *again])
    assert found.rounds == found.checkpoints == [("training", 1), ("training", 2)]
    assert found.faults == []


def test_a_finished_round_without_its_checkpoint_does_not_count() -> None:
    cut = [started(1), A, finished(1, 1), saved(1, 1), started(2), A, finished(2, 1), resumed(1)]
    assert history_of(cut).rounds == [("training", 1)]


def test_a_checkpoint_counts_although_the_cut_came_before_its_event() -> None:
    cut = [started(1), A, finished(1, 1), resumed(1)]
    found = history_of([*cut, started(2), A, finished(2, 1), saved(2, 2)])
    assert found.rounds == found.checkpoints == [("training", 1), ("training", 2)]
    assert found.faults == []


def test_a_checkpoint_that_is_saved_again_counts_once() -> None:
    found = history_of([started(1), A, finished(1, 1), saved(1, 1), saved(1, 2), saved(2, 3)])
    assert found.checkpoints == [("training", 1), ("training", 2)]
    assert found.faults == []


def test_a_lost_checkpoint_is_a_fault() -> None:
    both = [saved(1, 1), saved(2, 2)]
    assert history_of([*both, resumed(1)]).faults == [
        "resumed from ('training', 1) after ('training', 2)"
    ]
    assert history_of([saved(1, 1), saved(2, 3)]).faults == [
        "('training', 2): checkpoint 3 follows 1"
    ]
    assert history_of([saved(1, 1), {"event": "run-resumed", "phase": "", "round": 0}]).faults == [
        "resumed from nothing after ('training', 1)"
    ]


def test_a_site_that_counts_twice_is_a_fault() -> None:
    assert history_of([started(1), A, A, finished(1, 2)]).faults == ["('', 0): site-a counts twice"]
    assert history_of([started(1), A, finished(1, 2)]).faults == [
        "('training', 1): 2 counted, got ['site-a']"
    ]
