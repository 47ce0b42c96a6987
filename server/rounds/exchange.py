"""One message to each site and one back: push, pull, deadline, quorum."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flwr.app import Message
from flwr.serverapp import Grid

from common.errors import QuorumNotMet, WireError
from common.recipe import Recipe
from common.wire.code_digest import code_digest
from common.wire.codec import pack, unpack
from common.wire.flower_record import from_record, to_record
from common.wire.messages import Assignment, Request, SiteFailure
from server.events import EventLog
from server.rounds.roster import gather, quorum_of
from server.run_folder import Consortium

log = logging.getLogger(__name__)

POLL_S = 0.1
MESSAGE_TYPE = "query.lesionfed"
"""One Flower message type for all phases; what is asked is in the message itself."""
ABSENT = SiteFailure(error="NotThere", code="absent")
LATE = SiteFailure(error="DeadlinePassed", code="deadline")
SMALL_REPLY_BYTES = 1 << 20
"""What a reply may weigh beyond twice what was sent to the site."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    """What a phase wants from the sites.

    request         the message for one site, from its assignment
    reply           the class of the answer
    fold            takes one site's answer in and returns facts for the event log; raises
                    UpdateRejected for an answer that would spoil the aggregate
    training_only   whether sites that only add to the statistics are left out
    quorum          replies needed where it is not the run's own number: 0 where the run can go on
                    without any
    phase           under whose name it is held where that is not the phase that yields it
    """

    request: Callable[[Assignment], Request]
    reply: type[Any]
    fold: Callable[[str, Any], Mapping[str, object]]
    training_only: bool = False
    quorum: int | None = None
    phase: str | None = None


@dataclass(frozen=True, slots=True)
class _Letter:
    """A message on its way, until its answer is in."""

    site: str
    limit_bytes: int
    sent_at: float


class Correspondence:
    """Carries exchanges between one run and its sites.

    grid         Flower's view of the sites
    consortium   who takes part; a site's place in it is its index
    """

    def __init__(
        self, grid: Grid, *, consortium: Consortium, recipe: Recipe, events: EventLog
    ) -> None:
        self._grid = grid
        self._consortium = consortium
        self._recipe = recipe
        self._events = events
        self._absent: set[str] = set()

    def hold(self, exchange: Exchange, *, phase: str, round_index: int) -> None:
        """Asks every site, folds each answer as it comes, returns when the round is closed.

        A site that fails, or whose answer cannot be used, is recorded and left out. QuorumNotMet
        when fewer than the quorum answered usefully by the deadline.
        """
        settings = self._recipe.federation
        phase = exchange.phase or phase
        place = {"phase": phase, "round": round_index}
        sites = [s for s in self._consortium.sites if s.trains or not exchange.training_only]
        quorum = exchange.quorum
        if quorum is None:
            quorum = quorum_of(len(sites), settings.quorum)
        node_ids = gather(
            self._grid,
            sites,
            quorum=quorum,
            wait_s=settings.wait_for_sites_s,
            not_awaited=self._absent,
        )
        self._absent = {site.name for site in sites} - set(node_ids)
        self._events.record("round-started", **place, sites=sorted(node_ids))

        started = time.monotonic()
        failures = {s.name: ABSENT for s in sites if s.name not in node_ids}
        pending: dict[str, _Letter] = {}
        for site, node_id in node_ids.items():
            request = exchange.request(self._assignment(site, phase, round_index))
            message_id, letter = self._push(site, node_id, request, round_index)
            if message_id:
                pending[message_id] = letter
            else:  # Flower's way to say that the node has just gone
                failures[site] = ABSENT
        n_answered = 0
        for letter, message in self._answers(pending, started + settings.round_deadline_s):
            told = _fold(exchange, letter, message)
            if isinstance(told, SiteFailure):
                failures[letter.site] = told
            else:
                n_answered += 1
                self._events.record("reply", **place, site=letter.site, **told)
        failures |= {letter.site: LATE for letter in pending.values()}
        for site, failure in failures.items():
            facts = {"site": site, "error": failure.error, "code": failure.code}
            self._events.record("site-failed", **place, **facts)
        if n_answered < quorum:
            raise QuorumNotMet(_too_few(place, n_answered, quorum, failures))
        wall_s = round(time.monotonic() - started, 3)
        self._events.record("round-finished", **place, wall_s=wall_s, n_replies=n_answered)

    def _assignment(self, site: str, phase: str, round_index: int) -> Assignment:
        training = [s.name for s in self._consortium.sites if s.trains]
        others = [s.name for s in self._consortium.sites if not s.trains]
        return Assignment(
            run=self._consortium.run,
            phase=phase,
            round_index=round_index,
            recipe=self._recipe.canonical_json(),
            code_digest=code_digest(),
            site=site,
            site_index=[*training, *others].index(site),
            n_sites=len(training),
        )

    def _push(
        self, site: str, node_id: int, request: Request, round_index: int
    ) -> tuple[str, _Letter]:
        packed = pack(request)
        message = Message(
            to_record(packed),
            node_id,
            MESSAGE_TYPE,
            ttl=self._recipe.federation.round_deadline_s,
            group_id=str(round_index),
        )
        [message_id] = self._grid.push_messages([message])
        limit_bytes = 2 * packed.size_bytes + SMALL_REPLY_BYTES
        return message_id, _Letter(site, limit_bytes, time.monotonic())

    def _answers(
        self, pending: dict[str, _Letter], deadline: float
    ) -> Iterator[tuple[_Letter, Message]]:
        """Each answer as it comes, one in memory at a time; taken out of `pending`."""
        while pending and time.monotonic() < deadline:
            n_before = len(pending)
            for message_id in list(pending):
                for message in self._grid.pull_messages([message_id]):
                    yield pending.pop(message_id), message
            if len(pending) == n_before:
                time.sleep(POLL_S)


def _fold(exchange: Exchange, letter: _Letter, message: Message) -> dict[str, object] | SiteFailure:
    """Facts for the event log once the answer is folded in, or why it could not be."""
    if message.has_error():
        log.warning("site %s: Flower says %s", letter.site, message.error)
        return SiteFailure(error="FlowerError", code=f"flower-{message.error.code}")
    try:
        packed = from_record(message.content, limit_bytes=letter.limit_bytes)
        reply = unpack(packed, (exchange.reply, SiteFailure))
        if isinstance(reply, SiteFailure):
            return reply
        facts = exchange.fold(letter.site, reply)
    except WireError as error:
        log.warning("site %s: answer left out: %s", letter.site, error)
        return SiteFailure(error=type(error).__name__, code=error.code)
    wall_s = round(time.monotonic() - letter.sent_at, 3)
    return {"wall_s": wall_s, "size_bytes": packed.size_bytes, "facts": dict(facts)}


def _too_few(
    place: Mapping[str, object], n_answered: int, quorum: int, failures: Mapping[str, SiteFailure]
) -> str:
    reasons = "; ".join(f"{site}: {f.error} ({f.code})" for site, f in sorted(failures.items()))
    return (
        f"round {place['round']} of {place['phase']}: {n_answered} sites answered usefully and "
        f"{quorum} are needed. {reasons}. Each site's own log says more."
    )
