"""A run as a list of phases: the same loop for each, whatever it asks of the sites."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from server.rounds.phase import Exchange, Phase
from server.run.run_state import RunState

RunExchange = Callable[[Exchange, str, int], None]


def run_phases(
    phases: Sequence[Phase],
    state: RunState,
    *,
    run_exchange: RunExchange,
    evaluate: Callable[[RunState], RunState],
    save: Callable[[RunState], None],
) -> RunState:
    """The state after the last round of the last phase.

    state         a fresh one, or the one a checkpoint held: the run continues from there
    run_exchange  sends an exchange of a phase's round to the sites and returns once it is closed
    evaluate      scores the held-out sites, and may select a round
    save          keeps the state; called after every round and after every evaluation
    """
    names = [phase.name for phase in phases]
    for phase in phases[names.index(state.phase) if state.phase else 0 :]:
        if state.phase != phase.name:
            state = dataclasses.replace(
                phase.begin(state), phase=phase.name, round_index=0, judged=False
            )
        while True:
            if phase.is_evaluated(state.round_index) and not state.judged:
                state = dataclasses.replace(evaluate(state), judged=True)
                save(state)
            if state.round_index >= phase.n_rounds:
                break
            state = _run_round(phase, state, run_exchange)
            save(state)
    return state


def _run_round(phase: Phase, state: RunState, run_exchange: RunExchange) -> RunState:
    round_index = state.round_index + 1
    exchanges = phase.round(state)
    while True:
        try:
            exchange = next(exchanges)
        except StopIteration as finished:
            ended: RunState = finished.value
            return dataclasses.replace(ended, round_index=round_index, judged=False)
        run_exchange(exchange, phase.name, round_index)
