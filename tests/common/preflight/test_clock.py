"""This clock beside the coordinator's."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.preflight.clock import clock, judged
from tests.ports import free_port
from tests.preflight_servers import Authority, at, https_server


@pytest.mark.parametrize(
    ("server_ahead_s", "words"), [(-600, "10 minutes ahead of"), (600, "10 minutes behind")]
)
def test_ten_minutes_off_is_a_problem_with_its_direction(
    tmp_path: Path, server_ahead_s: float, words: str
) -> None:
    authority = Authority()
    with https_server(authority.server(tmp_path / "server"), ahead_s=server_ahead_s) as port:
        check = clock(at(port, tmp_path, authority))
    assert check.status == "problem"
    assert check.found.startswith(f"this clock is {words} the coordinator's")


def test_the_clock_is_seen_through_a_certificate_that_it_makes_look_bad(tmp_path: Path) -> None:
    authority = Authority()
    files = authority.server(tmp_path / "server", from_day=1, to_day=2)
    with https_server(files, ahead_s=1.5 * 86400) as port:
        check = clock(at(port, tmp_path, authority))
    assert check.found.startswith("this clock is 2160 minutes behind")  # 1.5 * 24 * 60


@pytest.mark.parametrize(
    ("ahead_s", "status"),
    [
        pytest.param(1.0, "passed", id="the Date header has whole seconds"),
        pytest.param(-1.9, "passed", id="behind, within two seconds"),
        pytest.param(4.0, "warning", id="Flower allows 5 s ahead"),
        pytest.param(6.0, "problem", id="Flower refuses more than 5 s ahead"),
        pytest.param(-6.0, "warning", id="Flower takes older signatures"),
        pytest.param(-61.0, "problem", id="more than a minute is too much"),
    ],
)
def test_ahead_counts_more_than_behind(ahead_s: float, status: str) -> None:
    assert judged(ahead_s).status == status


def test_without_an_answer_nothing_is_said_of_the_clock(tmp_path: Path) -> None:
    assert clock(at(free_port(), tmp_path, Authority())).status == "not-checked"
