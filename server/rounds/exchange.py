"""One message to each site and one back: push, pull, deadline, retry, quorum."""

from __future__ import annotations

import logging
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
from common.wire.messages import Assignment, Request, SiteFailure
from server.events import schema
from server.events.event_log import EventLog, Place
from server.rounds.deadline_grid import DeadlineGrid
from server.rounds.pending_request import (
    ABSENT,
    LATE,
    MAY_HEAL,
    UNDELIVERED,
    Fold,
    FoldLate,
    PendingRequest,
    fold_answer,
    is_gone,
    new_exchange_id,
)
from server.rounds.roster import Roster, gather, quorum_of
from server.rounds.site_tracker import SiteTracker
from server.run.run_folder import Consortium, Role
from server.run.site_state import SiteRecord

log = logging.getLogger(__name__)

POLL_S = 0.1
LATE_SHARE, LATE_S = 0.25, 600.0
"""How long a message outlives its round, so that a late answer is heard of: a share of the
deadline, and this at most. Where late updates count, a whole deadline."""
MESSAGE_TYPE = "query.lesionfed"
"""One Flower message type for all phases; what is asked is in the message itself."""
PAUSED = "paused"
"""The code of a site that takes no work for now: it has not failed."""
SMALL_REPLY_BYTES = 1 << 20
"""What a reply may weigh beyond twice what was sent to the site."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    """What a phase wants from the sites.

    request   the message for one site, from its assignment
    reply     the class of the answer
    fold      takes one site's answer in and returns facts for the event log; raises
              UpdateRejected for an answer that would spoil the aggregate
    fold_late takes in an answer to the same phase's request of an earlier round, by so many
              rounds late, where the recipe lets it count; None: refused
    roles     sites with which role are asked
    quorum    replies needed where it is not the run's own number: 0 where the run can go on
              without any
    phase     under whose name it is held where that is not the phase that yields it
    """

    request: Callable[[Assignment], Request]
    reply: type[Any]
    fold: Fold
    fold_late: FoldLate | None = None
    roles: tuple[Role, ...] = ("train", "statistics")
    quorum: int | None = None
    phase: str | None = None


@dataclass(slots=True)
class _Held:
    """One exchange while it is held.

    place      phase and round
    deadline   when it closes, on the monotonic clock
    pending    message id -> the letter whose answer is not in
    again      site -> why it failed, and until when it may come back to be asked again
    failures   sites that will not answer usefully any more
    """

    exchange: Exchange
    place: Place
    deadline: float
    pending: dict[str, PendingRequest] = field(default_factory=dict)
    again: dict[str, tuple[SiteFailure, float]] = field(default_factory=dict)
    n_asked: Counter[str] = field(default_factory=Counter)
    answered: list[str] = field(default_factory=list)
    failures: dict[str, SiteFailure] = field(default_factory=dict)


class Communicator:
    """Carries exchanges between one run and its sites.

    grid         Flower's view of the sites
    consortium   who takes part; a site's place in it is its index
    records      what a checkpoint tells of the sites
    turn_s       how long one call of the grid may hold up the others; None: where a pull is the
                 site's work itself (see DeadlineGrid)
    look_up      called at every poll, also while the SuperLink is away; raises where the run is to
                 end
    """

    def __init__(
        self,
        grid: Grid,
        *,
        consortium: Consortium,
        recipe: Recipe,
        events: EventLog,
        records: Mapping[str, SiteRecord] | None = None,
        turn_s: float | None = None,
        look_up: Callable[[], None] = lambda: None,
    ) -> None:
        self._grid = DeadlineGrid(grid, turn_s=turn_s, look_up=look_up)
        self._roster = Roster(self._grid, consortium)
        self._consortium = consortium
        self._recipe = recipe
        self._events = events
        self._book = SiteTracker(records or {}, federation=recipe.federation, events=events)
        self._hears_late_replies = turn_s is not None
        self._look_up = look_up
        self._absent: set[str] = set()
        self._late: dict[str, tuple[str, PendingRequest]] = {}
        """Site -> the last of its letters whose round has closed, by message id."""

    @property
    def records(self) -> dict[str, SiteRecord]:
        """Site -> what the run knows of it, for the checkpoint."""
        return self._book.records

    def hold(self, exchange: Exchange, *, phase: str, round_index: int) -> None:
        """Asks every site, folds each answer as it comes, returns when the round is closed.

        A site that fails is asked again while there is time, where that may help. One that fails
        for good, or whose answer cannot be used, is recorded and left out. QuorumNotMet when fewer
        than the quorum answered usefully by the deadline. Excluded sites are asked, with a
        deadline of their own, where without them the quorum is out of reach.
        """
        settings = self._recipe.federation
        place = Place(phase=exchange.phase or phase, round=round_index)
        named = self._roster.taking_part(exchange.roles)
        excluded = self._book.excluded(named)
        quorum = self._quorum(exchange, place, n_named=len(named), excluded=excluded)
        node_ids = self._gather(named, excluded, quorum, place)
        sites = [site for site in named if site in node_ids or site not in excluded]
        self._events.record(schema.RoundStarted(**place, sites=tuple(sorted(node_ids))))

        started = time.monotonic()
        held = _Held(exchange, place, started + settings.round_deadline_s)
        held.failures |= {site: ABSENT for site in sites if site not in node_ids}
        self._hear_late_replies(held)
        for site, node_id in node_ids.items():
            self._ask(held, site, node_id)
        self._until_closed(held)
        if len(held.answered) < quorum:
            reserve = [site for site in excluded if site not in node_ids]
            node_ids |= self._ask_excluded(held, reserve)
        self._close(held)
        if exchange.quorum != 0:  # where the run can go on without any, nobody is judged by it
            for site in node_ids:
                if site not in held.failures or held.failures[site].code != PAUSED:
                    self._book.judge(site, place, useful=site in held.answered)
            for site in excluded:
                if site not in node_ids:
                    self._book.sat_out(site, place)
        if len(held.answered) < quorum:
            raise QuorumNotMet(_too_few(place, len(held.answered), quorum, held.failures))
        wall_s = round(time.monotonic() - started, 3)
        n_replies = len(held.answered)
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
                f"{quorum} are needed. Left out: {', '.join(out) or 'nobody'}. Let one in again "
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
            told=lambda facts: self._events.record(schema.WaitingForSites(**place, **facts)),
            look_up=self._look_up,
        )
        self._absent = {site for site in sites if site not in node_ids}
        for site in sites:
            self._book.note(site, "seen" if site in node_ids else "gone", place)
        for site in excluded:
            if site in node_ids:
                self._book.let_in(site, place)
        return node_ids

    def _ask_excluded(self, held: _Held, excluded: list[str]) -> dict[str, int]:
        """Node ids of those excluded sites that are there, once they were asked after all."""
        if not excluded:
            return {}
        now = time.monotonic()
        until = now + self._recipe.federation.round_deadline_s
        there = self._roster.online(excluded, until=until)
        if there:
            held.deadline = until
        for site, node_id in there.items():
            self._book.let_in(site, held.place)
            self._ask(held, site, node_id)
        self._until_closed(held)
        return there

    def _ask(self, held: _Held, site: str, node_id: int) -> None:
        """Sends the site its request; it lives a while longer than its round."""
        exchange_id = new_exchange_id()
        request = held.exchange.request(self._assignment(site, held.place, exchange_id))
        packed, now = pack(request), time.monotonic()
        message = Message(
            to_record(packed),
            node_id,
            MESSAGE_TYPE,
            ttl=max(1.0, held.deadline - now) + self._afterlife_s,
            group_id=str(held.place["round"]),
        )
        held.n_asked[site] += 1
        message_id = self._grid.send(message, until=held.deadline)
        if message_id is None:
            self._failed(held, site, UNDELIVERED)
            return
        limit_bytes = 2 * packed.size_bytes + SMALL_REPLY_BYTES
        held.pending[message_id] = PendingRequest(
            site, exchange_id, limit_bytes, sent_at=now, closes_at=held.deadline, place=held.place
        )
        self._book.note(site, "asked", held.place)

    def _until_closed(self, held: _Held) -> None:
        while (held.pending or held.again) and time.monotonic() < held.deadline:
            n_before = len(held.pending)
            for message_id in list(held.pending):
                self._look_up()
                self._take_in(held, message_id)
            self._ask_again(held)
            self._hear_late_replies(held)
            if held.again or (held.pending and len(held.pending) == n_before):
                time.sleep(POLL_S)

    def _take_in(self, held: _Held, message_id: str) -> None:
        """Folds the answer to one message in, if it is there."""
        letter, exchange = held.pending[message_id], held.exchange
        site = letter.site
        try:
            message = self._grid.fetch(message_id, until=held.deadline)
        except WireError as error:
            del held.pending[message_id]
            self._failed(held, site, SiteFailure(error=type(error).__name__, code=error.code))
            return
        if message is None:
            return
        del held.pending[message_id]
        told = fold_answer(letter, message, reply=exchange.reply, fold=exchange.fold)
        if isinstance(told, SiteFailure):
            self._failed(held, site, told)
            return
        held.answered.append(site)
        self._events.record(schema.SiteReplied(**held.place, site=site, **told))
        self._book.note(site, "answered", held.place)

    def _failed(self, held: _Held, site: str, failure: SiteFailure) -> None:
        """Puts the site down to be asked again, or as failed for good."""
        self._book.note(site, "gone" if is_gone(failure) else "failed", held.place)
        settings, now = self._recipe.federation, time.monotonic()
        if failure.code in MAY_HEAL and held.n_asked[site] <= settings.retries:
            held.again[site] = (failure, now + settings.wait_for_sites_s)
        else:
            held.failures[site] = failure

    def _ask_again(self, held: _Held) -> None:
        """Asks those that failed once more, as soon as they are there."""
        if not held.again:
            return
        self._look_up()
        there = self._roster.online(list(held.again), until=held.deadline)
        for site, (failure, until) in list(held.again.items()):
            if site in there:
                del held.again[site]
                self._book.note(site, "seen", held.place)
                self._events.record(schema.SiteRetried(**held.place, site=site, code=failure.code))
                self._ask(held, site, there[site])
            elif time.monotonic() >= until:
                del held.again[site]
                held.failures[site] = failure

    def _close(self, held: _Held) -> None:
        """Writes down who did not answer usefully; what is still on its way is late."""
        held.failures |= {site: failure for site, (failure, _) in held.again.items()}
        for message_id, letter in held.pending.items():
            held.failures[letter.site] = LATE
            self._book.note(letter.site, "overdue", held.place)
            earlier = self._late.pop(letter.site, None)
            if earlier is not None:
                self._grid.forget(earlier[0])
            if self._hears_late_replies:
                self._late[letter.site] = (message_id, letter)
        for site, failure in held.failures.items():
            self._events.record(
                schema.SiteFailed(**held.place, site=site, error=failure.error, code=failure.code)
            )

    def _hear_late_replies(self, held: _Held) -> None:
        """Records answers to closed rounds; they count only where the recipe and the phase say so.

        held   the exchange that is open now, which may take them in
        """
        for site, (message_id, letter) in list(self._late.items()):
            try:
                message = self._grid.fetch(message_id, until=time.monotonic() + POLL_S)
            except WireError:
                del self._late[site]
                continue
            if message is None:
                continue
            del self._late[site]
            if message.has_error():  # Flower's word that it has expired is no answer
                continue
            late_s = round(time.monotonic() - letter.closes_at, 1)
            told = self._late_facts(held, letter, message)
            self._events.record(schema.LateReply(**letter.place, site=site, late_s=late_s, **told))
            if self._book.records[site].state == "late":
                self._book.note(site, "answered", letter.place)

    def _late_facts(self, held: _Held, letter: PendingRequest, message: Message) -> dict[str, Any]:
        """What became of a late answer: the round in which it counts, or None."""
        now, then, fold_late = held.place, letter.place, held.exchange.fold_late
        may_count = self._recipe.federation.late_weight > 0 and now["phase"] == then["phase"]
        if fold_late is None or not may_count:
            return {"counts_in": None}
        n_rounds = now["round"] - then["round"]
        told = fold_answer(
            letter,
            message,
            reply=held.exchange.reply,
            fold=lambda site, answer: fold_late(site, answer, n_rounds),
        )
        if isinstance(told, SiteFailure):
            return {"counts_in": None, "error": told.error, "code": told.code}
        self._book.judge(letter.site, now, useful=True)
        return {"counts_in": now["round"], "n_rounds_late": n_rounds, **told}

    @property
    def _afterlife_s(self) -> float:
        """How long a message outlives its round."""
        settings = self._recipe.federation
        if settings.late_weight:
            return settings.round_deadline_s
        return min(LATE_SHARE * settings.round_deadline_s, LATE_S)

    def _assignment(self, site: str, place: Place, exchange_id: str) -> Assignment:
        training = [s.name for s in self._consortium.sites if s.trains]
        others = [s.name for s in self._consortium.sites if not s.trains]
        return Assignment(
            run=self._consortium.run,
            phase=place["phase"],
            round_index=place["round"],
            recipe=self._recipe.canonical_json(),
            code_digest=code_digest(),
            site=site,
            site_index=[*training, *others].index(site),
            n_sites=len(training),
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
