"""A run as a list of phases: the same loop for each, whatever it asks of the sites."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Sequence
from typing import Protocol

from server.rounds.exchange import Exchange
from server.run.run_state import RunState


class Phase(Protocol):
    """One part of a run: so many rounds, each of one or more exchanges with the sites.

    name       the same as the file under `client/phases`
    n_rounds   rounds in all
    """

    @property
    def name(self) -> str: ...

    @property
    def n_rounds(self) -> int: ...

    def begin(self, state: RunState) -> RunState:
        """What the first round starts from."""
        ...

    def round(self, state: RunState) -> Generator[Exchange, None, RunState]:
        """Yields each exchange to be held, in order, and returns what the round ends with."""
        ...

    def is_judged(self, round_index: int) -> bool:
        """Whether the held-out sites are scored after this round; 0 is before the first."""
        ...


def run_phases(
    phases: Sequence[Phase],
    state: RunState,
    *,
    hold: Callable[[Exchange, str, int], None],
    judge: Callable[[RunState], RunState],
    save: Callable[[RunState], None],
) -> RunState:
    """The state after the last round of the last phase.

    state   a fresh one, or the one a checkpoint held: the run goes on from there
    hold    carries one exchange of a phase's round to the sites and back
    judge   scores the held-out sites, and may select a round
    save    keeps the state; called after every round and after every judgement
    """
    names = [phase.name for phase in phases]
    for phase in phases[names.index(state.phase) if state.phase else 0 :]:
        if state.phase != phase.name:
            state = dataclasses.replace(
                phase.begin(state), phase=phase.name, round_index=0, judged=False
            )
        while True:
            if phase.is_judged(state.round_index) and not state.judged:
                state = dataclasses.replace(judge(state), judged=True)
                save(state)
            if state.round_index >= phase.n_rounds:
                break
            state = _one_round(phase, state, hold)
            save(state)
    return state


def _one_round(
    phase: Phase, state: RunState, hold: Callable[[Exchange, str, int], None]
) -> RunState:
    round_index = state.round_index + 1
    exchanges = phase.round(state)
    while True:
        try:
            exchange = next(exchanges)
        except StopIteration as finished:
            ended: RunState = finished.value
            return dataclasses.replace(ended, round_index=round_index, judged=False)
        hold(exchange, phase.name, round_index)
