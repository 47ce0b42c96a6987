"""One message to each site and one back: push, pull, deadline, retry, quorum."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flwr.app import Message
from flwr.serverapp import Grid

from common.code_digest import code_digest
from common.errors import QuorumNotMet, WireError
from common.recipe.recipe import Recipe
from common.wire.codec import pack
from common.wire.flower_record import to_record
from common.wire.messages import Assignment, SiteFailure
from server.events import schema
from server.events.event_log import EventLog, Place
from server.rounds.deadline_grid import POLL_S, DeadlineGrid
from server.rounds.late_replies import LateReplies, time_after_deadline_s
from server.rounds.pending_request import (
    ABSENT,
    LATE,
    NOT_DELIVERED,
    RETRY_CODES,
    PendingRequest,
    accumulate_answer,
    is_gone,
    new_exchange_id,
)
from server.rounds.phase import Exchange
from server.rounds.roster import Roster, gather, quorum_of
from server.rounds.sealer import Sealer
from server.rounds.site_tracker import SiteTracker
from server.run.run_folder import Consortium
from server.run.site_state import SiteRecord

MESSAGE_TYPE = "query.lesionfed"
"""One Flower message type for all phases; what is asked is in the message itself."""
PAUSED = "paused"
"""The code of a site that takes no work for now: it has not failed."""
SMALL_REPLY_BYTES = 1 << 20
"""What a reply may weigh beyond twice what was sent to the site."""


@dataclass(slots=True)
class _OpenExchange:
    """An exchange until its round is closed.

    place      phase and round
    deadline   when it closes, on the monotonic clock
    pending    message id -> the request whose answer is not in
    to_retry   site -> why it failed, and until when it may come back to be asked again
    failures   sites that will not answer usefully any more
    """

    exchange: Exchange
    place: Place
    deadline: float
    pending: dict[str, PendingRequest] = field(default_factory=dict)
    to_retry: dict[str, tuple[SiteFailure, float]] = field(default_factory=dict)
    n_asked: Counter[str] = field(default_factory=Counter)
    answered: list[str] = field(default_factory=list)
    failures: dict[str, SiteFailure] = field(default_factory=dict)


class Communicator:
    """Runs exchanges between one run and its sites.

    grid         Flower's view of the sites
    consortium   who takes part; a site's place in it is its index
    sealer       numbers and signs each request
    records      what a checkpoint says of the sites
    turn_s       how long one call of the grid may delay the others; None: where a pull is the
                 site's work itself (see DeadlineGrid)
    require_running   called at every poll, also while the SuperLink is away; raises where the run
                 is to end
    """

    def __init__(
        self,
        grid: Grid,
        *,
        consortium: Consortium,
        recipe: Recipe,
        events: EventLog,
        sealer: Sealer,
        records: Mapping[str, SiteRecord] | None = None,
        turn_s: float | None = None,
        require_running: Callable[[], None] = lambda: None,
    ) -> None:
        federation = recipe.federation
        self._grid = DeadlineGrid(grid, turn_s=turn_s, require_running=require_running)
        self._roster = Roster(self._grid, consortium)
        self._consortium = consortium
        self._recipe = recipe
        self._events = events
        self._sealer = sealer
        self._tracker = SiteTracker(records or {}, federation=federation, events=events)
        self._late = LateReplies(
            self._grid, federation=federation, events=events, tracker=self._tracker
        )
        self._expects_late_replies = turn_s is not None
        self._require_running = require_running
        self._absent: set[str] = set()

    @property
    def records(self) -> dict[str, SiteRecord]:
        """Site -> what the run knows of it, for the checkpoint."""
        return self._tracker.records

    def run_exchange(self, exchange: Exchange, phase: str, round_index: int) -> None:
        """Asks every site, adds each answer as it comes, returns when the round is closed.

        A site that fails is asked again while there is time, where that may help. One that fails
        for good, or whose answer cannot be used, is recorded and left out. QuorumNotMet when fewer
        than the quorum answered usefully by the deadline. Excluded sites are asked, with a
        deadline of their own, where without them the quorum is out of reach.
        """
        self._require_running()
        place = Place(phase=exchange.phase or phase, round=round_index)
        named = self._roster.taking_part(exchange.roles)
        excluded = self._tracker.excluded(named)
        quorum = self._quorum(exchange, place, n_named=len(named), excluded=excluded)
        node_ids = self._gather(named, excluded, quorum, place)
        sites = [site for site in named if site in node_ids or site not in excluded]
        self._events.record(schema.RoundStarted(**place, sites=tuple(sorted(node_ids))))

        started = time.monotonic()
        opened = _OpenExchange(exchange, place, started + self._recipe.federation.round_deadline_s)
        opened.failures |= {site: ABSENT for site in sites if site not in node_ids}
        self._late.collect(exchange, place)
        for site, node_id in node_ids.items():
            self._ask(opened, site, node_id)
        self._poll_until_closed(opened)
        if len(opened.answered) < quorum:
            reserve = [site for site in excluded if site not in node_ids]
            node_ids |= self._ask_excluded(opened, reserve)
        self._close(opened)
        if (
            exchange.quorum != 0
        ):  # where the run can continue without any, no site is excluded for it
            for site in node_ids:
                if site not in opened.failures or opened.failures[site].code != PAUSED:
                    self._tracker.end_round(site, place, useful=site in opened.answered)
            for site in excluded:
                if site not in node_ids:
                    self._tracker.end_round_excluded(site, place)
        n_replies = len(opened.answered)
        if n_replies < quorum:
            raise QuorumNotMet(_too_few(place, n_replies, quorum, opened.failures))
        wall_s = round(time.monotonic() - started, 3)
        self._events.record(schema.RoundFinished(**place, wall_s=wall_s, n_replies=n_replies))

    def _quorum(
        self, exchange: Exchange, place: Place, *, n_named: int, excluded: list[str]
    ) -> int:
        """Replies needed; QuorumNotMet where sites were taken out until too few are left."""
        if exchange.quorum is not None:
            return exchange.quorum
        states = self._roster.states(exchange.roles)
        wanted = self._recipe.federation.quorum
        n_sites = n_named if wanted is None else len(states)
        quorum = quorum_of(n_sites, wanted, n_excluded=len(excluded))
        if n_named < quorum:
            out = [f"{site} ({state})" for site, state in states.items() if state != "active"]
            out += [f"{site} (excluded)" for site in excluded]
            raise QuorumNotMet(
                f"round {place['round']} of {place['phase']}: {n_named} sites take part and "
                f"{quorum} are needed. Left out: {', '.join(out) or 'none'}. Let one in again "
                "with `lesionfed sites restore`, or start a run with a lower federation.quorum."
            )
        return quorum

    def _gather(
        self, named: list[str], excluded: list[str], quorum: int, place: Place
    ) -> dict[str, int]:
        """Node ids of those to be asked: excluded sites too where the others are too few."""
        sites = [site for site in named if site not in excluded]
        if len(sites) < quorum:
            sites = named
        node_ids = gather(
            self._roster,
            sites,
            reserve=[site for site in named if site not in sites],
            quorum=quorum,
            wait_s=self._recipe.federation.wait_for_sites_s,
            not_awaited=self._absent,
            on_waiting=lambda facts: self._events.record(schema.WaitingForSites(**place, **facts)),
            require_running=self._require_running,
        )
        self._absent = {site for site in sites if site not in node_ids}
        for site in sites:
            self._tracker.note(site, "seen" if site in node_ids else "gone", place)
        for site in excluded:
            if site in node_ids:
                self._tracker.let_in(site, place)
        return node_ids

    def _ask_excluded(self, opened: _OpenExchange, excluded: list[str]) -> dict[str, int]:
        """Node ids of those excluded sites that are online, once they were asked after all."""
        if not excluded:
            return {}
        now = time.monotonic()
        until = now + self._recipe.federation.round_deadline_s
        online = self._roster.online(excluded, until=until)
        if online:
            opened.deadline = until
        for site, node_id in online.items():
            self._tracker.let_in(site, opened.place)
            self._ask(opened, site, node_id)
        self._poll_until_closed(opened)
        return online

    def _ask(self, opened: _OpenExchange, site: str, node_id: int) -> None:
        """Sends the site its request; the message outlives its round for a while."""
        exchange_id = new_exchange_id()
        request = opened.exchange.request(self._assignment(site, opened.place, exchange_id))
        packed = self._sealer.seal(pack(request), request.assignment)
        now = time.monotonic()
        left_s = max(1.0, opened.deadline - now)
        message = Message(
            to_record(packed),
            node_id,
            MESSAGE_TYPE,
            ttl=left_s + time_after_deadline_s(self._recipe.federation),
            group_id=str(opened.place["round"]),
        )
        opened.n_asked[site] += 1
        message_id = self._grid.send(message, until=opened.deadline)
        if message_id is None:
            self._note_failure(opened, site, NOT_DELIVERED)
            return
        limit_bytes, place = 2 * packed.size_bytes + SMALL_REPLY_BYTES, opened.place
        opened.pending[message_id] = PendingRequest(
            site,
            exchange_id,
            limit_bytes,
            sent_at=now,
            closes_at=opened.deadline,
            place=place,
            may_be_late=opened.exchange.accumulate_late is not None,
        )
        self._tracker.note(site, "asked", opened.place)

    def _poll_until_closed(self, opened: _OpenExchange) -> None:
        while (opened.pending or opened.to_retry) and time.monotonic() < opened.deadline:
            n_before = len(opened.pending)
            for message_id in list(opened.pending):
                self._require_running()
                self._collect_answer(opened, message_id)
            self._retry(opened)
            self._late.collect(opened.exchange, opened.place)
            if opened.to_retry or (opened.pending and len(opened.pending) == n_before):
                time.sleep(POLL_S)

    def _collect_answer(self, opened: _OpenExchange, message_id: str) -> None:
        """Accumulates the answer to one message, if it has come."""
        request, exchange = opened.pending[message_id], opened.exchange
        site = request.site
        outcome: dict[str, Any] | SiteFailure
        try:
            message = self._grid.fetch(message_id, until=opened.deadline)
        except WireError as error:
            outcome = SiteFailure(error=type(error).__name__, code=error.code)
        else:
            if message is None:
                return
            outcome = accumulate_answer(
                request, message, reply=exchange.reply, accumulate=exchange.accumulate
            )
        del opened.pending[message_id]
        if isinstance(outcome, SiteFailure):
            self._note_failure(opened, site, outcome)
            return
        opened.answered.append(site)
        self._events.record(schema.SiteReplied(**opened.place, site=site, **outcome))
        self._tracker.note_subjects(site, outcome["facts"], opened.place)
        self._tracker.note(site, "answered", opened.place)

    def _note_failure(self, opened: _OpenExchange, site: str, failure: SiteFailure) -> None:
        """Notes that the site is to be asked again, or has failed for good."""
        self._tracker.note(site, "gone" if is_gone(failure) else "failed", opened.place)
        settings, now = self._recipe.federation, time.monotonic()
        if failure.code in RETRY_CODES and opened.n_asked[site] <= settings.retries:
            opened.to_retry[site] = (failure, now + settings.wait_for_sites_s)
        else:
            opened.failures[site] = failure

    def _retry(self, opened: _OpenExchange) -> None:
        """Asks those that failed once more, as soon as they are online."""
        if not opened.to_retry:
            return
        self._require_running()
        online = self._roster.online(list(opened.to_retry), until=opened.deadline)
        for site, (failure, until) in list(opened.to_retry.items()):
            if site in online:
                del opened.to_retry[site]
                self._tracker.note(site, "seen", opened.place)
                self._events.record(
                    schema.SiteRetried(**opened.place, site=site, code=failure.code)
                )
                self._ask(opened, site, online[site])
            elif time.monotonic() >= until:
                del opened.to_retry[site]
                opened.failures[site] = failure

    def _close(self, opened: _OpenExchange) -> None:
        """Records who did not answer usefully; an answer that is still to come is late."""
        opened.failures |= {site: failure for site, (failure, _) in opened.to_retry.items()}
        for message_id, request in opened.pending.items():
            opened.failures[request.site] = LATE
            self._tracker.note(request.site, "overdue", opened.place)
            if self._expects_late_replies:
                self._late.expect(message_id, request)
        for site, failure in opened.failures.items():
            self._events.record(
                schema.SiteFailed(**opened.place, site=site, error=failure.error, code=failure.code)
            )

    def _assignment(self, site: str, place: Place, exchange_id: str) -> Assignment:
        return Assignment(
            run=self._consortium.run,
            phase=place["phase"],
            round_index=place["round"],
            recipe=self._recipe.canonical_json(),
            code_digest=code_digest(),
            site=site,
            site_index=self._consortium.site_index(site),
            n_sites=self._consortium.n_head_outputs,
            exchange_id=exchange_id,
        )


def _too_few(
    place: Place, n_answered: int, quorum: int, failures: Mapping[str, SiteFailure]
) -> str:
    reasons = "; ".join(f"{site}: {f.error} ({f.code})" for site, f in sorted(failures.items()))
    return (
        f"round {place['round']} of {place['phase']}: {n_answered} sites answered usefully and "
        f"{quorum} are needed. {reasons}. Each site's own log says more."
    )
