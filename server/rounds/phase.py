"""What a run is made of: phases of so many rounds, rounds of one or more exchanges."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any

from common.membership.site import Role
from common.wire.messages import Assignment, Request
from server.run.run_state import RunState

Accumulate = Callable[[str, Any], Mapping[str, object]]
AccumulateLate = Callable[[str, Any, int], Mapping[str, object]]
"""As Accumulate, with the number of rounds by which the reply is late."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    """One message to each site and one back.

    request     the message for one site, from its assignment
    reply       the class of the answer
    accumulate  adds one site's reply and returns facts for the event log; raises UpdateRejected
                for a reply that would spoil the aggregate. It checks all before it adds anything:
                an error that it did not foresee leaves the site out too
    accumulate_late  adds a reply to the same phase's request of an earlier round, by so many
                rounds late, where the recipe lets it count; None: refused
    roles       sites with which role are asked
    quorum      replies needed where it is not the run's own number: 0 where the run can continue
                without any
    phase       under whose name it is run where that is not the phase that yields it
    """

    request: Callable[[Assignment], Request]
    reply: type[Any]
    accumulate: Accumulate
    accumulate_late: AccumulateLate | None = None
    roles: tuple[Role, ...] = ("train", "statistics")
    quorum: int | None = None
    phase: str | None = None


class Phase(ABC):
    """One part of a run.

    name       no other phase of a run has it: a run that was cut off is resumed by it
    n_rounds   rounds in all

    To add one: its request and its reply in `common/wire/messages.py`; a subclass in a file of
    `server/phases/`, and its place in a run in `server/phases/phase_list.py`; the site's half, a
    function in a file of `client/phases/`, and a line for it in `client/handle.py`.
    """

    name: str
    n_rounds: int = 1

    def begin(self, state: RunState) -> RunState:
        """What the first round starts from."""
        return state

    @abstractmethod
    def round(self, state: RunState) -> Generator[Exchange, None, RunState]:
        """Yields each exchange to be run, in order, and returns what the round ends with."""

    def is_evaluated(self, round_index: int) -> bool:
        """Whether the held-out sites are scored after this round; 0 is before the first."""
        return False
