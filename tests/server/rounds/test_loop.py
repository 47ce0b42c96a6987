from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator

import pytest

from common.wire.messages import SiteStatistics, StatisticsRequest
from server.rounds.loop import run_phases
from server.rounds.phase import Exchange, Phase
from server.run.run_state import RunState

EXCHANGE = Exchange(
    request=lambda assignment: StatisticsRequest(assignment=assignment),
    reply=SiteStatistics,
    accumulate=lambda site, reply: {},
)


class Counting(Phase):
    """Adds `step` to the baseline threshold in each round, after `n_exchanges` exchanges."""

    def __init__(
        self,
        name: str,
        n_rounds: int,
        *,
        step: float,
        n_exchanges: int = 1,
        evaluated: bool = False,
    ) -> None:
        self.name = name
        self.n_rounds = n_rounds
        self._step = step
        self._n_exchanges = n_exchanges
        self._evaluated = evaluated

    def is_evaluated(self, round_index: int) -> bool:
        return self._evaluated

    def round(self, state: RunState) -> Generator[Exchange, None, RunState]:
        for _ in range(self._n_exchanges):
            yield EXCHANGE
        total = (state.baseline_threshold or 0) + self._step
        return dataclasses.replace(state, baseline_threshold=total)


class Run:
    """Runs phases and writes down what the loop did, in order."""

    def __init__(self, phases: list[Phase], *, cut_at_save: int | None = None) -> None:
        self.phases = phases
        self.done: list[str] = []
        self.saved: list[RunState] = []
        self.cut_at_save = cut_at_save

    def go(self, state: RunState) -> RunState:
        return run_phases(
            self.phases,
            state,
            run_exchange=self._run_exchange,
            evaluate=self._evaluate,
            save=self._save,
        )

    def _run_exchange(self, exchange: Exchange, phase: str, round_index: int) -> None:
        self.done.append(f"{phase} {round_index}")

    def _evaluate(self, state: RunState) -> RunState:
        self.done.append(f"evaluate {state.round_index}")
        return state

    def _save(self, state: RunState) -> None:
        if len(self.saved) == self.cut_at_save:
            raise KeyboardInterrupt
        self.saved.append(state)


def phases() -> list[Phase]:
    return [
        Counting("statistics", 1, step=10, n_exchanges=2),
        Counting("training", 2, step=1, evaluated=True),
    ]


def test_every_exchange_of_every_round_of_every_phase_is_run_once() -> None:
    run = Run(phases())
    state = run.go(RunState())
    assert run.done == [
        "statistics 1",
        "statistics 1",
        "evaluate 0",
        "training 1",
        "evaluate 1",
        "training 2",
        "evaluate 2",
    ]
    assert state.baseline_threshold == 12


@pytest.mark.parametrize("n_saves", range(1, 6))
def test_a_run_cut_after_any_save_ends_as_an_uninterrupted_one(n_saves: int) -> None:
    whole = Run(phases())
    expected = whole.go(RunState())
    cut = Run(phases(), cut_at_save=n_saves)
    with pytest.raises(KeyboardInterrupt):
        cut.go(RunState())
    resumed = Run(phases())
    assert resumed.go(cut.saved[-1]) == expected


def test_a_round_that_was_saved_is_not_trained_again() -> None:
    cut = Run(phases(), cut_at_save=3)  # statistics, evaluate 0, training 1 are saved
    with pytest.raises(KeyboardInterrupt):
        cut.go(RunState())
    resumed = Run(phases())
    resumed.go(cut.saved[-1])
    assert resumed.done == ["evaluate 1", "training 2", "evaluate 2"]


@pytest.mark.parametrize("make", [phases])
def test_a_finished_run_does_nothing_more(make: Callable[[], list[Phase]]) -> None:
    first = Run(make())
    last = first.go(RunState())
    again = Run(make())
    assert again.go(last) == last
    assert again.done == []
