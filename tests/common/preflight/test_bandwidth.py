"""Time of a round's traffic."""

from __future__ import annotations

from pathlib import Path

import pytest
from flwr.proto.fleet_pb2 import PullMessagesRequest

from common.preflight.bandwidth import (
    SAMPLE_BYTES,
    bandwidth,
    judge_rate,
    unknown_field,
    update_size_bytes,
)
from common.recipe.recipe import load_recipe
from tests.preflight_servers import Authority, at, https_server

FLEET = "/v1/fleet/pull-messages"


def test_the_line_is_measured_against_a_server_that_reads_and_refuses(tmp_path: Path) -> None:
    authority = Authority()
    with https_server(authority.server(tmp_path / "server")) as port:
        check = bandwidth(at(port, tmp_path, authority), update_bytes=1000)
    assert check.status == "passed"
    assert "Mbit/s up" in check.found
    assert "a round for 0.0 MB each way" in check.found


def test_a_round_takes_the_update_down_and_up_at_the_rate_of_the_way_up() -> None:
    # 10 Mbit/s = 1.25e6 bytes a second; 2 * 60e6 / 1.25e6 = 96 s, and 2 * 0.5 s of waiting: 97 s
    slow = judge_rate(1.25e6, 0.5, update_bytes=60_000_000, round_deadline_s=389.0)  # 389 / 4 > 97
    assert slow.status == "passed"
    assert slow.found.startswith("10.0 Mbit/s up, 500 ms a request; about 97 s a round for 60.0 MB")
    assert (
        judge_rate(1.25e6, 0.5, update_bytes=60_000_000, round_deadline_s=387.0).status == "warning"
    )


@pytest.mark.parametrize(
    ("status", "judged_as", "words"),
    [
        (413, "problem", "refuses a body of 1 MB"),
        (502, "not-checked", "nothing there reads an upload"),
        (403, "not-checked", "nothing there reads an upload"),
    ],
)
def test_an_answer_that_does_not_come_of_reading_gives_no_rate(
    tmp_path: Path, status: int, judged_as: str, words: str
) -> None:
    authority = Authority()
    files = authority.server(tmp_path / "server")
    with https_server(files, answers={FLEET: (status, {})}) as port:
        check = bandwidth(at(port, tmp_path, authority))
    assert check.status == judged_as
    assert words in check.found


def test_the_sample_is_a_message_that_flower_reads_and_finds_nothing_in() -> None:
    message = PullMessagesRequest()
    content = unknown_field(SAMPLE_BYTES)
    message.ParseFromString(content)
    assert message.ListFields() == []
    assert len(content) == SAMPLE_BYTES + 2 + 3  # key 8002 in 2 bytes of 7 bits, length in 3


def test_an_update_is_four_bytes_a_parameter() -> None:
    from common.learning.model import new_network

    recipe = load_recipe("default", scale="small")
    network = new_network(recipe)
    n_buffers = sum(buffer.numel() for buffer in network.buffers())
    assert n_buffers == 0  # instance norm has none
    assert update_size_bytes(recipe) == 4 * sum(p.numel() for p in network.parameters())
