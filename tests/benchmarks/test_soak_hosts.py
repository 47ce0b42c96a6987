"""The judgement of the soak on real processes, by hand."""

from __future__ import annotations

import os

import pytest

from benchmarks.soak_hosts import is_training_round, n_open, pss_mib, show_growth


def lines(column: str, values: list[float]) -> list[dict[str, float]]:
    return [
        {"round": 10.0 * k, "wall_s": 60.0 * k, column: value} for k, value in enumerate(values)
    ]


@pytest.mark.parametrize("column", ["superlink_mib", "standby_open", "database_mib"])
def test_what_grows_by_more_than_5_percent_ends_with_1(column: str) -> None:
    assert show_growth(lines(column, [100.0] * 6 + [105.2, 105.2])) == 1
    assert show_growth(lines(column, [100.0] * 6 + [104.8, 104.8])) == 0


def test_what_a_run_leaves_is_not_judged(capsys: pytest.CaptureFixture[str]) -> None:
    assert show_growth(lines("run_mib", [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])) == 0
    assert "+114.3%" in capsys.readouterr().out  # (7 + 8) / (3 + 4) - 1


def test_a_kind_of_process_that_was_not_there_is_no_flat_one() -> None:
    assert show_growth(lines("serve_mib", [100.0] * 7 + [0.0])) == 1


def test_too_few_lines_say_nothing() -> None:
    assert show_growth(lines("superlink_mib", [1.0] * 7)) == 2


def test_only_finished_rounds_of_training_count() -> None:
    assert is_training_round({"event": "round-finished", "phase": "training"})
    assert not is_training_round({"event": "round-finished", "phase": "statistics"})
    assert not is_training_round({"event": "round-started", "phase": "training"})


def test_this_process_holds_memory_and_descriptors_and_one_that_has_ended_holds_none() -> None:
    assert 10 < pss_mib(os.getpid()) < 100_000
    with open(os.devnull, encoding="ascii"):
        n_before = n_open(os.getpid())
        with open(os.devnull, encoding="ascii"):
            assert n_open(os.getpid()) == n_before + 1
    ended = os.fork()
    if ended == 0:
        os._exit(0)
    os.waitpid(ended, 0)
    assert (pss_mib(ended), n_open(ended)) == (0.0, 0)
