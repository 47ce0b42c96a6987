"""Replies that come after their round has closed: recorded, and counted where that is wanted."""

from __future__ import annotations

import time
from typing import Any

from flwr.app import Message

from common.errors import WireError
from common.recipe.federation import Federation
from common.wire.messages import SiteFailure
from server.events import schema
from server.events.event_log import EventLog, Place
from server.rounds.deadline_grid import POLL_S, DeadlineGrid
from server.rounds.pending_request import PendingRequest, accumulate_answer
from server.rounds.phase import Exchange
from server.rounds.site_tracker import SiteTracker

LATE_SHARE, LATE_S = 0.25, 600.0
"""How long a message outlives its round, so that a late reply still comes in: a share of the
deadline, and this at most. Where late updates count, a whole deadline."""


def time_after_deadline_s(federation: Federation) -> float:
    """How long a message outlives its round."""
    if federation.late_weight:
        return federation.round_deadline_s
    return min(LATE_SHARE * federation.round_deadline_s, LATE_S)


class LateReplies:
    """Requests whose round has closed before their reply: the last one of each site, of those
    whose reply may count and of the others.

    A late reply counts only where the recipe gives it a weight, the open exchange takes such
    replies, and it is of the same phase. It is left where it is while another exchange of a round
    of that phase is open, such as the one in which sites score the round.
    """

    def __init__(
        self, grid: DeadlineGrid, *, federation: Federation, events: EventLog, tracker: SiteTracker
    ) -> None:
        self._grid = grid
        self._federation = federation
        self._events = events
        self._tracker = tracker
        self._awaited: dict[tuple[str, bool], tuple[str, PendingRequest]] = {}

    def expect(self, message_id: str, request: PendingRequest) -> None:
        """Looks for the reply from now on, and no more for an earlier one of the same site."""
        key = request.site, request.may_be_late
        earlier = self._awaited.pop(key, None)
        if earlier is not None:
            self._grid.forget(earlier[0])
        self._awaited[key] = (message_id, request)

    def collect(self, exchange: Exchange, place: Place) -> None:
        """Records each late reply that has come.

        exchange, place   the one that is open now, to which it may be added
        """
        for key, (message_id, request) in list(self._awaited.items()):
            if self._may_count_later(exchange, place, request):
                continue
            site = request.site
            try:
                message = self._grid.fetch(message_id, until=time.monotonic() + POLL_S)
            except WireError:
                del self._awaited[key]
                continue
            if message is None:
                continue
            del self._awaited[key]
            if message.has_error():  # from Flower: the message has expired
                continue
            late_s = round(time.monotonic() - request.closes_at, 1)
            facts = self._accumulate(exchange, place, request, message)
            self._events.record(
                schema.LateReply(**request.place, site=site, late_s=late_s, **facts)
            )
            if self._tracker.records[site].state == "late":
                self._tracker.note(site, "answered", request.place)

    def _may_count_later(self, exchange: Exchange, place: Place, request: PendingRequest) -> bool:
        """Whether the phase of the request goes on after this exchange, which takes no late reply.

        An exchange under another name than its phase's is part of a round of that phase.
        """
        within = exchange.phase is not None or place["phase"] == request.place["phase"]
        takes_none = exchange.accumulate_late is None
        return within and takes_none and request.may_be_late and self._federation.late_weight > 0

    def _accumulate(
        self, exchange: Exchange, place: Place, request: PendingRequest, message: Message
    ) -> dict[str, Any]:
        """What became of a late reply: the round in which it counts, or None."""
        accumulate_late = exchange.accumulate_late
        same_phase = place["phase"] == request.place["phase"]
        counts = request.may_be_late and same_phase and self._federation.late_weight > 0
        if accumulate_late is None or not counts:
            return {"counts_in": None}
        n_rounds = place["round"] - request.place["round"]
        outcome = accumulate_answer(
            request,
            message,
            reply=exchange.reply,
            accumulate=lambda site, reply: accumulate_late(site, reply, n_rounds),
        )
        if isinstance(outcome, SiteFailure):
            return {"counts_in": None, "error": outcome.error, "code": outcome.code}
        self._tracker.end_round(request.site, place, useful=True)
        return {"counts_in": place["round"], "n_rounds_late": n_rounds, **outcome}
