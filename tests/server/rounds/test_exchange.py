from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Error, Message
from flwr.common.constant import ErrorCode

from common.errors import QuorumNotMet, RunStopped
from common.membership.requests_key import opened_seal
from common.recipe.recipe import load_recipe
from common.wire.codec import pack
from common.wire.flower_record import from_record, to_record
from common.wire.messages import MiningReply, SiteFailure, StatisticsRequest
from server.events.event_log import EventLog
from server.federation.members import Member, Members, write_members
from server.inline import InlineGrid, inline_key
from server.rounds.exchange import Communicator
from server.rounds.phase import Exchange
from server.rounds.sealer import Sealer
from server.run.run_folder import Consortium, EnrolledSite
from server.run.site_state import SiteRecord

Answer = Callable[[Message], Message | None]
USEFUL = MiningReply(n_cases=1, n_negatives=2)
QUICK_S = 1.5
QUICK = ("federation.quorum=1", f"federation.round_deadline_s={QUICK_S}")
"""A round that closes soon, and leaves a slow machine the time to hear of an answer that is there.
"""


def asked_in(message: Message) -> str:
    """The exchange id on the request's seal."""
    packed = from_record(message.content, limit_bytes=1 << 20)
    return opened_seal(packed, requests_key=None).exchange_id


def says(reply: MiningReply | SiteFailure, *, to: str | None = None) -> Answer:
    """A site that replies at once; `to`: as if to another exchange."""

    def answer(message: Message) -> Message:
        asked = asked_in(message)
        return Message(to_record(pack(reply, answers=to or asked)), reply_to=message)

    return answer


def fails(code: int) -> Answer:
    """Flower's word for a site whose message or process was lost."""
    return lambda message: Message(Error(code, "lost"), reply_to=message)


def silent(message: Message) -> None:
    """Nothing comes."""


class Sites(InlineGrid):
    """Sites that answer as told: one answer for each message, the last one again and again."""

    def __init__(self, **answers: Sequence[Answer]) -> None:
        super().__init__({name: Path("site.toml") for name in answers})
        self.answers = {name: list(of_site) for name, of_site in answers.items()}
        self.asked: list[Message] = []

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        sent = list(messages)
        self.asked += sent
        return super().push_messages(sent)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        for message_id in message_ids:
            message = self._waiting[message_id]
            of_site = self.answers[self._names[message.metadata.dst_node_id]]
            reply = of_site[0](message)
            if reply is not None:
                del self._waiting[message_id]
                del of_site[: len(of_site) > 1]
                yield reply


HANGS_S = 120.0
LONG_S = 60.0
"""No exchange that continues by itself takes so long on any machine."""


class Run:
    """A run whose exchanges are run one after another, with what it wrote down."""

    def __init__(
        self,
        folder: Path,
        grid: Sites,
        *overrides: str,
        turn_s: float | None = None,
        records: Mapping[str, SiteRecord] | None = None,
        members_file: Path | None = None,
    ) -> None:
        self.events_file = folder / "events.jsonl"
        self.stop: Callable[[], None] = lambda: None
        names = list(grid.answers)
        sites = tuple(EnrolledSite(name=name, public_key=inline_key(name)) for name in names)
        settings = ["federation.wait_for_sites_s=0.2", "federation.round_deadline_s=20"]
        self.communicator = Communicator(
            grid,
            consortium=Consortium(run="r", sites=sites, members_file=members_file),
            recipe=load_recipe("default", overrides=[*settings, *overrides]),
            events=EventLog(self.events_file),
            sealer=Sealer(sitting=1),
            records=records,
            turn_s=turn_s,
            require_running=lambda: self.stop(),
        )
        self.round_index = 0
        self.accumulated: list[str] = []
        self.accumulated_late: list[tuple[str, int]] = []

    def run_exchange(
        self, *, quorum: int | None = None, phase: str | None = None, takes_late: bool = True
    ) -> None:
        self.round_index += 1

        def accumulate(site: str, reply: MiningReply) -> dict[str, object]:
            self.accumulated.append(site)
            return {}

        def accumulate_late(site: str, reply: MiningReply, n_rounds: int) -> dict[str, object]:
            self.accumulated_late.append((site, n_rounds))
            return {}

        exchange = Exchange(
            request=lambda assignment: StatisticsRequest(assignment=assignment),
            reply=MiningReply,
            accumulate=accumulate,
            accumulate_late=accumulate_late if takes_late else None,
            roles=("train",),
            quorum=quorum,
            phase=phase,
        )
        self.communicator.run_exchange(exchange, phase="training", round_index=self.round_index)

    def events(self, kind: str) -> list[dict[str, Any]]:
        lines = self.events_file.read_text("utf-8").splitlines()
        return [event for line in lines if (event := json.loads(line))["event"] == kind]

    def failures(self) -> list[tuple[int, str, str]]:
        return [(e["round"], e["site"], e["code"]) for e in self.events("site-failed")]

    def states(self, site: str) -> list[str]:
        return [e["state"] for e in self.events("site-state") if e["site"] == site]


def nobody_there(folder: Path) -> Run:
    """A run with one site, which is not there."""
    run = Run(folder, Sites(lyon=[silent]))
    run.communicator._grid._grid = InlineGrid({})
    return run


def test_without_a_quorum_of_its_own_an_exchange_needs_the_runs(tmp_path: Path) -> None:
    with pytest.raises(QuorumNotMet):
        nobody_there(tmp_path).run_exchange(quorum=None)


@pytest.mark.parametrize(("phase", "told"), [(None, "training"), ("mining", "mining")])
def test_an_exchange_that_needs_no_reply_ends_without_one_under_its_phases_name(
    tmp_path: Path, phase: str | None, told: str
) -> None:
    run = nobody_there(tmp_path)
    run.run_exchange(quorum=0, phase=phase)
    for kind in ("waiting", "round-started", "site-failed", "round-finished"):
        assert [event["phase"] for event in run.events(kind)] == [told]


def test_a_site_whose_process_was_killed_is_asked_again_in_the_same_round(tmp_path: Path) -> None:
    grid = Sites(lyon=[fails(ErrorCode.CLIENT_APP_CRASHED), says(USEFUL)], bonn=[says(USEFUL)])
    run = Run(tmp_path, grid)
    run.run_exchange()
    assert sorted(run.accumulated) == ["bonn", "lyon"]
    assert run.failures() == []
    [retry] = run.events("retry")
    assert (retry["site"], retry["round"], retry["code"]) == ("lyon", 1, "flower-8")
    ids = [asked_in(m) for m in grid.asked]
    assert len(set(ids)) == 3  # each request has its own


def test_a_site_is_asked_again_as_often_as_the_recipe_says(tmp_path: Path) -> None:
    lost = fails(ErrorCode.MESSAGE_UNAVAILABLE)
    run = Run(tmp_path, Sites(lyon=[lost], bonn=[says(USEFUL)]), "federation.retries=2")
    with pytest.raises(QuorumNotMet, match=r"lyon: FlowerError \(flower-3\)"):
        run.run_exchange()
    assert len(run.events("retry")) == 2
    assert run.failures() == [(1, "lyon", "flower-3")]


def test_what_a_site_says_itself_is_not_asked_for_again(tmp_path: Path) -> None:
    refused = says(SiteFailure(error="PolicyRefused", code="policy"))
    run = Run(tmp_path, Sites(lyon=[refused], bonn=[says(USEFUL)]))
    with pytest.raises(QuorumNotMet, match=r"lyon: PolicyRefused \(policy\)"):
        run.run_exchange()
    assert run.events("retry") == []


def test_an_answer_to_another_request_is_refused_as_replayed(tmp_path: Path) -> None:
    run = Run(tmp_path, Sites(lyon=[says(USEFUL, to="0" * 32)], bonn=[says(USEFUL)]))
    with pytest.raises(QuorumNotMet, match=r"lyon: WireError \(replayed\)"):
        run.run_exchange()
    assert run.accumulated == ["bonn"]


@pytest.mark.parametrize("turn_s", [None, 0.2], ids=["inline", "network"])
def test_a_round_closes_at_its_deadline_without_the_late(
    tmp_path: Path, turn_s: float | None
) -> None:
    run = Run(tmp_path, Sites(lyon=[silent], bonn=[says(USEFUL)]), *QUICK, turn_s=turn_s)
    started = time.monotonic()
    run.run_exchange()
    assert QUICK_S <= time.monotonic() - started < LONG_S
    assert run.failures() == [(1, "lyon", "deadline")]
    assert run.states("lyon") == ["online", "training", "late"]


def test_a_round_closes_at_its_deadline_also_while_a_pull_hangs(tmp_path: Path) -> None:
    released = threading.Event()

    def hangs(message: Message) -> None:
        released.wait(HANGS_S)

    run = Run(tmp_path, Sites(lyon=[hangs], bonn=[says(USEFUL)]), *QUICK, turn_s=0.2)
    started = time.monotonic()
    run.run_exchange()
    assert time.monotonic() - started < LONG_S
    released.set()
    assert (run.accumulated, run.failures()) == (["bonn"], [(1, "lyon", "deadline")])


@pytest.mark.parametrize(
    ("overrides", "ttl_s"),
    [
        pytest.param(["federation.round_deadline_s=40"], 50, id="a quarter more"),
        pytest.param(["federation.round_deadline_s=7200"], 7800, id="10 minutes more at most"),
        pytest.param(
            ["federation.round_deadline_s=7200", "federation.late_weight=0.5"],
            14400,
            id="as long again where late answers count",
        ),
    ],
)
def test_a_message_outlives_its_round_for_a_while(
    tmp_path: Path, overrides: list[str], ttl_s: float
) -> None:
    grid = Sites(lyon=[says(USEFUL)])
    run, started = Run(tmp_path, grid, *overrides), time.monotonic()
    run.run_exchange()
    took_s = time.monotonic() - started  # a part of it before the message was sent
    assert ttl_s - took_s <= grid.asked[0].metadata.ttl <= ttl_s


class Each:
    """A site that answers the first message as the first answer does, and so on."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = answers
        self.messages: list[Message] = []

    def __call__(self, message: Message) -> Message | None:
        if not any(message is known for known in self.messages):
            self.messages.append(message)
        [number] = [n for n, known in enumerate(self.messages) if message is known]
        return self.answers[number](message)


class Late:
    """A site whose answer is not there before it is `ready`, and then at once."""

    def __init__(self) -> None:
        self.ready = False

    def __call__(self, message: Message) -> Message | None:
        return says(USEFUL)(message) if self.ready else None


def test_a_late_reply_is_written_down_in_a_later_round_and_not_accumulated(tmp_path: Path) -> None:
    lyon = Late()
    run = Run(tmp_path, Sites(lyon=[lyon], bonn=[says(USEFUL)]), *QUICK, turn_s=0.2)
    began = time.monotonic()
    run.run_exchange()
    time.sleep(0.5)
    lyon.ready = True
    run.run_exchange()
    [late] = run.events("late-reply")
    assert (late["site"], late["phase"], late["round"]) == ("lyon", "training", 1)
    assert late["counts_in"] is None
    assert 0.4 < late["late_s"] <= time.monotonic() - began - QUICK_S + 0.1  # rounded
    assert run.accumulated.count("lyon") == 1  # the second round's
    assert run.accumulated_late == []
    assert run.states("lyon")[2:4] == ["late", "rejoined"]


def test_a_late_reply_counts_in_the_round_it_comes_in_where_the_recipe_weighs_it(
    tmp_path: Path,
) -> None:
    lyon = Late()
    sites = Sites(lyon=[lyon, silent], bonn=[says(USEFUL)])
    run = Run(tmp_path, sites, *QUICK, "federation.late_weight=0.5", turn_s=0.2)
    run.run_exchange()
    lyon.ready = True
    run.round_index += 1  # round 2 was another run's: lyon's answer is two rounds late
    run.run_exchange()
    [late] = run.events("late-reply")
    assert (late["round"], late["counts_in"], late["n_rounds_late"]) == (1, 3, 2)
    assert run.accumulated_late == [("lyon", 2)]
    assert run.accumulated == ["bonn", "bonn"]
    # late in round 1, useful late, late again: one failure in a row, not two
    assert run.communicator.records["lyon"].n_failed == 1


def test_a_late_reply_to_another_phase_does_not_count(tmp_path: Path) -> None:
    lyon = Late()
    sites = Sites(lyon=[lyon], bonn=[says(USEFUL)])
    run = Run(tmp_path, sites, *QUICK, "federation.late_weight=0.5", turn_s=0.2)
    run.run_exchange(phase="statistics")
    lyon.ready = True
    run.run_exchange()
    [late] = run.events("late-reply")
    assert (late["phase"], late["counts_in"]) == ("statistics", None)
    assert run.accumulated_late == []


@pytest.mark.parametrize(
    "phase",
    [
        pytest.param("validation", id="the sites score the round"),
        pytest.param(None, id="something is sent again before the round"),
    ],
)
@pytest.mark.parametrize("late_again", [False, True])
def test_a_late_reply_is_not_lost_to_another_exchange_of_its_phase(
    tmp_path: Path, phase: str | None, late_again: bool
) -> None:
    lyon = Late()
    between = silent if late_again else says(USEFUL)
    of_each = Each(lyon, between, says(USEFUL))
    sites = Sites(lyon=[of_each], bonn=[says(USEFUL)])
    run = Run(tmp_path, sites, *QUICK, "federation.late_weight=0.5", turn_s=0.2)
    run.run_exchange()
    lyon.ready = True
    run.run_exchange(quorum=0, phase=phase, takes_late=False)
    assert run.events("late-reply") == []
    run.run_exchange()
    [late] = run.events("late-reply")
    assert (late["round"], late["counts_in"]) == (1, 3)
    assert run.accumulated_late == [("lyon", 2)]


def test_a_site_that_is_paused_has_not_failed(tmp_path: Path) -> None:
    paused = says(SiteFailure(error="PolicyRefused", code="paused"))
    sites = Sites(lyon=[paused, paused, paused, paused, says(USEFUL)], bonn=[says(USEFUL)])
    run = Run(tmp_path, sites, "federation.quorum=1")
    for _ in range(5):
        run.run_exchange()
    assert [code for _, _, code in run.failures()] == ["paused"] * 4
    assert "excluded" not in run.states("lyon")
    assert run.accumulated.count("lyon") == 1


def test_a_site_that_fails_three_rounds_is_left_out_of_the_next_two_and_informed(
    tmp_path: Path,
) -> None:
    refused = says(SiteFailure(error="SiteDataError", code="no-lesions"))
    grid = Sites(lyon=[refused], bonn=[says(USEFUL)])
    run = Run(tmp_path, grid, "federation.quorum=1", "federation.exclude_rounds=2")
    for _ in range(6):
        run.run_exchange()
    assert [number for number, _, _ in run.failures()] == [1, 2, 3, 6]
    assert [e["round"] for e in run.events("site-state") if e["state"] == "excluded"] == [3, 6]
    assert run.communicator.records["lyon"] == SiteRecord(state="excluded", n_failed=4, sits_out=2)


OUT = {"bonn": SiteRecord(state="excluded", n_failed=3, sits_out=9)}


def test_an_excluded_site_is_asked_where_the_others_are_too_few_to_begin(tmp_path: Path) -> None:
    grid = Sites(lyon=[says(USEFUL)], bonn=[says(USEFUL)], ghent=[silent])
    grid._names = {id_: name for id_, name in grid._names.items() if name != "ghent"}  # away
    run = Run(tmp_path, grid, records=OUT)
    run.run_exchange()  # of lyon and ghent two are needed
    assert sorted(run.accumulated) == ["bonn", "lyon"]
    assert run.communicator.records["bonn"] == SiteRecord(state="online")


@pytest.mark.parametrize(
    "ghent", [says(SiteFailure(error="SiteDataError", code="no-lesions")), silent]
)
def test_an_excluded_site_is_asked_where_one_of_the_others_fails(
    tmp_path: Path, ghent: Answer
) -> None:
    grid = Sites(lyon=[says(USEFUL)], bonn=[says(USEFUL)], ghent=[ghent])
    run = Run(tmp_path, grid, f"federation.round_deadline_s={QUICK_S}", records=OUT)
    run.run_exchange()
    assert sorted(run.accumulated) == ["bonn", "lyon"]


def test_an_excluded_site_that_is_let_in_and_fails_is_excluded_again(tmp_path: Path) -> None:
    refused = says(SiteFailure(error="SiteDataError", code="no-lesions"))
    run = Run(tmp_path, Sites(lyon=[refused], bonn=[refused]), records=OUT)
    with pytest.raises(QuorumNotMet, match="bonn: SiteDataError"):
        run.run_exchange()
    assert run.states("bonn") == ["online", "training", "online", "excluded"]
    assert run.communicator.records["bonn"].sits_out == 10


def test_sites_suspended_below_the_recipes_quorum_are_named_before_anybody_is_asked(
    tmp_path: Path,
) -> None:
    grid = Sites(lyon=[says(USEFUL)], bonn=[says(USEFUL)], ghent=[says(USEFUL)])
    members = tuple(
        Member(
            site=name,
            public_key=inline_key(name),
            state="suspended" if name == "ghent" else "active",
            enrolled="2026-01-01",
        )
        for name in grid.answers
    )
    file = tmp_path / "members.json"
    write_members(file, Members(members=members))
    run = Run(tmp_path, grid, "federation.quorum=3", members_file=file, records=OUT)
    named = r"2 sites take part and 3 are needed\. Left out: ghent \(suspended\), bonn \(excluded\)"
    with pytest.raises(QuorumNotMet, match=named):
        run.run_exchange()
    assert grid.asked == []


def unreadable(message: Message) -> Message:
    raise ValueError("not an Array")


def test_an_answer_that_flower_cannot_inflate_fails_its_site_and_not_the_run(
    tmp_path: Path,
) -> None:
    grid = Sites(lyon=[unreadable], bonn=[says(USEFUL)])
    run = Run(tmp_path, grid, "federation.quorum=1", turn_s=HANGS_S)
    run.run_exchange()
    assert (run.accumulated, run.failures()) == (["bonn"], [(1, "lyon", "wire")])
    assert run.events("retry") == []


def test_a_late_answer_that_flower_cannot_inflate_is_forgotten(tmp_path: Path) -> None:
    sites = Sites(lyon=[silent], bonn=[says(USEFUL)])
    run = Run(tmp_path, sites, *QUICK, turn_s=0.2)
    run.run_exchange()
    sites.answers["lyon"] = [unreadable]
    run.run_exchange()
    assert run.events("late-reply") == []
    assert run.accumulated == ["bonn", "bonn"]


def test_the_run_ends_while_sites_still_work_once_it_is_asked_to(tmp_path: Path) -> None:
    deadline = f"federation.round_deadline_s={HANGS_S}"
    run = Run(tmp_path, Sites(lyon=[silent]), deadline, turn_s=0.2)

    def stop() -> None:
        if run.events("round-started"):
            raise RunStopped("enough")

    run.events_file.touch()
    run.stop = stop
    started = time.monotonic()
    with pytest.raises(RunStopped, match="enough"):
        run.run_exchange()
    assert time.monotonic() - started < LONG_S
