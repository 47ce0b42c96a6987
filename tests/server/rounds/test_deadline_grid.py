from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from pathlib import Path

import httpx
import pytest
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.proto.node_pb2 import NodeInfo

from common.errors import WireError
from server.inline import InlineGrid
from server.rounds.deadline_grid import DeadlineGrid
from tests.waiting import wait_until

HANGS_S = 60.0
LONG_S = 30.0
"""No call that is bounded takes so long on any machine, and every one that hangs does."""


class HungGrid(InlineGrid):
    """Every call blocks until it is released."""

    def __init__(self) -> None:
        super().__init__({"lyon": Path("site.toml")})
        self.released = threading.Event()
        self.n_pulls = 0
        self.error: Exception | None = None

    def get_nodes(self) -> Iterable[NodeInfo]:
        self.released.wait(HANGS_S)
        return super().get_nodes()

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        self.n_pulls += 1
        self.released.wait(HANGS_S)
        if self.error is not None:
            raise self.error
        return [message() for _ in message_ids]


def message() -> Message:
    return Message(RecordDict({"a": ConfigRecord({"b": 1})}), 2, "query.lesionfed")


def soon(wait_s: float = 2 * HANGS_S) -> float:
    return time.monotonic() + wait_s


def test_a_pull_that_hangs_gives_way_after_its_turn_and_its_answer_comes_at_a_later_one() -> None:
    grid = HungGrid()
    patient = DeadlineGrid(grid, turn_s=0.1)
    started = time.monotonic()
    assert patient.fetch("m", until=soon()) is None
    assert patient.fetch("m", until=soon()) is None  # not pulled twice
    assert time.monotonic() - started < LONG_S
    assert grid.n_pulls == 1
    grid.released.set()
    wait_until(lambda: patient.fetch("m", until=soon()), "the answer")
    assert grid.n_pulls == 1


def test_no_pull_outlasts_the_deadline_whatever_its_turn() -> None:
    patient = DeadlineGrid(HungGrid(), turn_s=HANGS_S)
    started = time.monotonic()
    assert patient.fetch("m", until=soon(0.1)) is None
    assert patient.fetch("n", until=started) is None
    assert time.monotonic() - started < LONG_S


def test_where_the_superlink_does_not_say_who_is_there_nobody_is() -> None:
    grid = HungGrid()
    patient = DeadlineGrid(grid, turn_s=0.1)
    assert patient.nodes(until=soon()) == []
    grid.released.set()
    nodes = wait_until(lambda: patient.nodes(until=soon()), "who is there")
    assert [node.name for node in nodes] == ["lyon"]


def test_a_lost_connection_is_no_answer_yet_and_any_other_error_an_unreadable_one() -> None:
    grid = HungGrid()
    grid.released.set()
    patient = DeadlineGrid(grid, turn_s=HANGS_S)
    grid.error = httpx.ConnectError("refused")
    assert patient.fetch("m", until=soon()) is None
    grid.error = ValueError("not an Array")
    with pytest.raises(WireError, match=r"message m: the answer cannot be read: .*not an Array"):
        patient.fetch("m", until=soon())


def test_without_turns_a_pull_is_made_by_the_caller_itself() -> None:
    class Here(InlineGrid):
        thread = 0

        def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
            Here.thread = threading.get_ident()
            return [message() for _ in message_ids]

    assert DeadlineGrid(Here({}), turn_s=None).fetch("m", until=soon(0)) is not None
    assert Here.thread == threading.get_ident()


class Stopped(Exception):
    pass


def test_a_message_that_the_superlink_does_not_take_can_be_given_up_before_its_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Away(HungGrid):
        def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
            self.released.wait(HANGS_S)
            return super().push_messages(messages)

    looks: list[float] = []

    def require_running() -> None:
        looks.append(time.monotonic())
        if len(looks) == 3:
            raise Stopped

    monkeypatch.setattr("server.rounds.deadline_grid.CHECK_S", 0.05)
    started = time.monotonic()
    with pytest.raises(Stopped):
        DeadlineGrid(Away(), turn_s=5, require_running=require_running).send(
            message(), until=soon()
        )
    assert time.monotonic() - started < LONG_S
    assert DeadlineGrid(Away(), turn_s=5).send(message(), until=soon(0.2)) is None
