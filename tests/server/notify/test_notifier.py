from __future__ import annotations

import json
import logging
import re
import sys
import time
from pathlib import Path
from typing import Any, cast

import pytest

from common.errors import ConfigError
from server.events.run_event import RunEvent
from server.events.schema import (
    CheckpointSaved,
    RoundStarted,
    RunFinished,
    RunResumed,
    SiteStateChanged,
)
from server.notify import notifier as notifier_file
from server.notify.channel import CommandChannel
from server.notify.notice import Notice, n_undelivered
from server.notify.notifier import Notifier
from server.run.notify_settings import Notify
from tests.server.notify.receivers import mail_server, program, web_server
from tests.waiting import wait_until

TIME = "2026-03-02T08:00:00.000+00:00"
REASON = "/srv/runs/r1: the disk is full"
ENDED = RunFinished(status="failed", reason=REASON)


def dropped(site: str) -> RunEvent:
    return SiteStateChanged(site=site, state="dropped", phase="training", round=2)


def notifier(
    folder: Path, *, stall_s: float = 3600.0, drain_s: float = 20.0, **settings: Any
) -> Notifier:
    return Notifier(
        Notify(**settings),
        federation="ms",
        run="r1",
        folder=folder,
        stall_s=stall_s,
        drain_s=drain_s,
    )


def recorded(folder: Path) -> list[tuple[str, str, str | None]]:
    """What, by which channel, and the error of each notice in the run's folder."""
    lines = (folder / "notices.jsonl").read_text("utf-8").splitlines()
    entries = [json.loads(line) for line in lines]
    return [(entry["what"], entry["channel"], entry["error"]) for entry in entries]


def test_a_program_gets_each_notice_as_a_line_of_json(tmp_path: Path) -> None:
    out = tmp_path / "told"
    with notifier(tmp_path, command=program(out)) as told:
        told(dropped("lyon"))
        told(CheckpointSaved(phase="training", round=2, file="f"))
        told(ENDED)
    first, last = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert (first["what"], first["site"], first["round"]) == ("site-dropped", "lyon", 2)
    assert (last["what"], last["status"], last["reason"]) == ("run-finished", "failed", REASON)
    assert (last["federation"], last["run"]) == ("ms", "r1")
    assert recorded(tmp_path) == [
        ("site-dropped", "command", None),
        ("run-finished", "command", None),
    ]


def test_a_web_address_gets_the_same_without_the_words_of_an_error(tmp_path: Path) -> None:
    with web_server() as web:
        with notifier(tmp_path, webhook=web.address) as told:
            told(ENDED)
        [body] = web.bodies
        assert web.kinds == ["application/json"]
    assert json.loads(body)["status"] == "failed"
    assert "/srv" not in body


def test_a_mail_is_plain_text_with_the_reason(tmp_path: Path) -> None:
    with mail_server() as mail:
        settings: dict[str, Any] = {
            "smtp_host": "127.0.0.1",
            "smtp_port": mail.port,
            "email_to": ("a@x.org", "b@x.org"),
            "email_from": "fed@x.org",
        }
        with notifier(tmp_path, **settings) as told:
            told(ENDED)
    assert mail.envelope == [
        "mail FROM:<fed@x.org>",
        "rcpt TO:<a@x.org>",
        "rcpt TO:<b@x.org>",
    ]
    assert "Subject: LesionFed run r1: run-finished (failed)" in mail.text
    assert 'Content-Type: text/plain; charset="utf-8"' in mail.text
    assert f"reason: {REASON}" in mail.text


def test_a_slow_web_address_does_not_hold_a_round_up(tmp_path: Path) -> None:
    with web_server(wait_s=600) as web:
        told = notifier(tmp_path, webhook=web.address, drain_s=0.2)
        began = time.monotonic()
        with told:
            for _ in range(500):
                told(dropped("lyon"))
        # for one answer alone it waits 30 s; and the end of the run waits 0.2 s for the rest
        assert time.monotonic() - began < 25


def test_what_does_not_fit_the_queue_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifier_file, "MAX_QUEUED", 2)
    with web_server(wait_s=30) as web, notifier(tmp_path, webhook=web.address) as told:
        told(dropped("a"))
        wait_until(lambda: web.bodies, "the first on its way, so that two fit behind it")
        for site in ("b", "c", "d"):
            told(dropped(site))
        assert recorded(tmp_path) == [("site-dropped", "queue", "2 notices wait already")]
        web.released.set()
    assert len(web.bodies) == 3


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        pytest.param({"command": program(Path("/dev/null"), code=3)}, "code 3", id="exit code"),
        pytest.param({"command": ("/no/such/program",)}, "No such file", id="no program"),
        pytest.param({"webhook": "http://127.0.0.1:1/secret"}, "does not answer", id="nobody"),
        pytest.param(
            {
                "email_to": ("a@x.org",),
                "email_from": "b@x.org",
                "smtp_host": "127.0.0.1",
                "smtp_port": 1,
            },
            "refused",
            id="no mail server",
        ),
    ],
)
def test_what_cannot_be_sent_is_logged_and_recorded_and_the_run_continues(
    settings: dict[str, Any], error: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR), notifier(tmp_path, **settings) as told:
        told(dropped("lyon"))
        told(ENDED)
    assert [what for what, _, _ in recorded(tmp_path)] == ["site-dropped", "run-finished"]
    assert all(error in str(found) for _, _, found in recorded(tmp_path))
    assert n_undelivered(tmp_path) == 2
    assert "notice site-dropped was not sent" in caplog.text
    assert "secret" not in caplog.text


def test_a_failing_channel_does_not_keep_the_next_from_sending(tmp_path: Path) -> None:
    with (
        web_server() as web,
        notifier(tmp_path, command=("/no/such",), webhook=web.address) as told,
    ):
        told(ENDED)
    assert len(web.bodies) == 1
    assert [(channel, error is None) for _, channel, error in recorded(tmp_path)] == [
        ("command", False),
        ("webhook", True),
    ]


def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    with web_server() as other, web_server(status=302, location=other.address) as web:
        with notifier(tmp_path, webhook=web.address) as told:
            told(ENDED)
        assert other.bodies == []
    [(_, _, error)] = recorded(tmp_path)
    assert error == "the web address answered 302; a redirect is not followed"


def test_a_program_that_does_not_end_is_ended(tmp_path: Path) -> None:
    sleeper = CommandChannel([sys.executable, "-c", "import time; time.sleep(600)"], timeout_s=0.3)
    began = time.monotonic()
    with pytest.raises(Exception, match="timed out after"):
        sleeper.send(Notice(federation=None, run="r1", what="stalled", time=TIME))
    assert time.monotonic() - began < 300


def lines_in(file: Path) -> list[str]:
    """Its whole lines; none where there is no such file yet."""
    text = file.read_text("utf-8") if file.exists() else ""
    return [line for line in text.splitlines(keepends=True) if line.endswith("\n")]


def test_a_run_without_events_is_reported_as_stalled_once(tmp_path: Path) -> None:
    out = tmp_path / "told"
    told = notifier(tmp_path, command=program(out), stall_s=0.5)
    told(RoundStarted(phase="mining", round=1, sites=()))
    began = time.monotonic()
    with told:  # the time without an event begins here
        wait_until(lambda: lines_in(out), "the notice")
        took_s = time.monotonic() - began
        time.sleep(1.5)  # long enough for two more
    [stalled] = [json.loads(line) for line in lines_in(out)]
    assert (stalled["what"], stalled["phase"], stalled["round"]) == ("stalled", "mining", 1)
    [quiet_s] = re.findall(r"^nothing was recorded for (\d+) s$", stalled["reason"])
    assert 0 <= int(quiet_s) <= round(took_s)


def test_after_an_event_a_run_can_stall_again(tmp_path: Path) -> None:
    out = tmp_path / "told"
    with notifier(tmp_path, command=program(out), stall_s=0.5) as told:
        wait_until(lambda: len(lines_in(out)) == 1, "the first notice")
        told(RunResumed())
        wait_until(lambda: len(lines_in(out)) == 2, "the second notice")


def test_an_event_that_cannot_be_reported_does_not_reach_the_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with notifier(tmp_path, command=program(tmp_path / "told")) as told:
        told(cast(RunEvent, "no event at all"))
    assert "no notice could be made of an event" in caplog.text


def test_with_nobody_to_tell_nothing_is_started_and_nothing_recorded(tmp_path: Path) -> None:
    with notifier(tmp_path) as told:
        told(ENDED)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"webhook": "file:///etc/passwd"}, "want http://"),
        ({"webhook": "https://"}, "want http://"),
        ({"email_to": ["a@x.org"]}, "email_from is not; want both"),
        ({"email_to": ["a@x.org\nBcc: b@x.org"], "email_from": "c@x.org"}, "email_to"),
    ],
)
def test_settings_that_could_reach_nobody_are_refused(table: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Notify.from_table(table, where="federation.toml")
