"""How a run or a federation stands, as tables in the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from common.figures.page import data_size, wall_time
from server.events.site_history import Failure, SiteHistory
from server.status.federation_status import FederationStatus
from server.status.run_status import RunStatus

STYLES = {
    "completed": "green",
    "running": "green",
    "waiting": "yellow",
    "stalled": "red",
    "failed": "red",
    "interrupted": "red",
    "excluded": "red",
    "dropped": "yellow",
    "late": "yellow",
}


def status_tables(status: RunStatus | FederationStatus, *, now: datetime) -> RenderableType:
    """The tables of a run, or of a federation."""
    if isinstance(status, RunStatus):
        return Group(*_of_run(status, now))
    return Group(*_of_federation(status, now))


def _of_run(status: RunStatus, now: datetime) -> Iterator[RenderableType]:
    facts = Table.grid(padding=(0, 2))
    for name, value in _facts(status, now):
        facts.add_row(name, value)
    yield facts
    if status.sites:
        yield ""
        yield _sites(status.sites, now)
    for site in status.sites:
        if (failure := site.last_failure) is not None and site.consecutive_failures:
            yield f"{escape(site.name)} ({failure.code}): {escape(failure.advice)}"
    if status.warning is not None:
        yield escape(status.warning)
    if status.to_do is not None:
        yield escape(status.to_do)


def _facts(status: RunStatus, now: datetime) -> Iterator[tuple[str, str]]:
    yield "run", escape(status.run)
    yield "status", _coloured(status.status)
    if status.reason is not None:
        yield "reason", escape(status.reason)
    if status.round is not None and status.since is not None:
        yield (
            "round",
            f"{status.round} of {status.n_rounds} of {status.phase}, begun "
            f"{_ago(status.since, now)}; {status.n_answered} of {status.n_asked} sites answered",
        )
    if status.waits_for and status.waits_until is not None:
        until = status.waits_until.astimezone().isoformat(sep=" ", timespec="seconds")
        yield "waits for", f"{', '.join(status.waits_for)}, until {until}"
    if status.median_round_s is not None:
        left = f"; about {wall_time(status.eta_s)} to go" if status.eta_s is not None else ""
        yield (
            "training",
            f"{status.n_trained} of {status.n_training} rounds, "
            f"{wall_time(status.median_round_s)} each{left}",
        )
    if status.checkpoint is not None:
        point = status.checkpoint
        yield "checkpoint", f"round {point.round} of {point.phase}, {_ago(point.time, now)}"
    for file in status.damaged_checkpoints:
        yield "damaged", f"{escape(file)}: the checkpoint before it was used"
    yield "received", data_size(status.received_bytes)
    if status.last_event is not None:
        yield "last event", _ago(status.last_event, now)
    if status.n_resumed:
        void = f"; rounds begun again: {status.n_void_rounds}" if status.n_void_rounds else ""
        yield "resumed", f"{status.n_resumed} times{void}"
    if status.n_undelivered:
        yield "notices", f"{status.n_undelivered} could not be sent: see notices.jsonl"


def _sites(sites: tuple[SiteHistory, ...], now: datetime) -> Table:
    table = Table(
        "site", "role", "state", "last answer", "received", "failures in a row", "last failure"
    )
    for site in sites:
        answer = "-"
        if site.last_reply_time is not None:
            answer = f"round {site.last_reply_round} of {site.last_reply_phase}"
            answer += f", {_ago(site.last_reply_time, now)}"
        table.add_row(
            escape(site.name),
            site.role,
            _coloured(site.state),
            answer,
            data_size(site.received_bytes),
            str(site.consecutive_failures),
            _failure(site.last_failure),
        )
    return table


def _failure(failure: Failure | None) -> str:
    if failure is None:
        return "-"
    return f"{failure.code}, round {failure.round} of {escape(failure.phase)}"


def _of_federation(status: FederationStatus, now: datetime) -> Iterator[RenderableType]:
    yield f"federation {escape(status.federation)}"
    yield f"{status.superlink.name}: {status.superlink.found}"
    if status.superlink.fix is not None:
        yield escape(status.superlink.fix)
    members = Table("site", "role", "state", "enrolled")
    for member in status.members:
        members.add_row(
            escape(member.site), member.role, _coloured(member.state), member.enrolled or "-"
        )
    yield members
    for certificate in status.certificates:
        if certificate.warning is not None:
            yield f"[red]{escape(certificate.warning)}[/red]"
        else:
            yield f"{certificate.what}'s certificate: {certificate.days_left} days left"
    if status.runs:
        runs = Table("run", "status", "round", "last event")
        for run in status.runs:
            place = f"{run.round} of {run.n_rounds} of {run.phase}" if run.phase else "-"
            last = _ago(run.last_event, now) if run.last_event is not None else "-"
            runs.add_row(escape(run.run), _coloured(run.status), place, last)
        yield runs


def _coloured(word: str) -> str:
    style = STYLES.get(word)
    return f"[{style}]{word}[/{style}]" if style else word


def _ago(then: datetime, now: datetime) -> str:
    return f"{wall_time(max(0.0, (now - then).total_seconds()))} ago"
