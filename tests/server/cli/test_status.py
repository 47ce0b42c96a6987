from __future__ import annotations

import json
from pathlib import Path

import pytest

from server.cli import main
from server.events.failure_advice import advice
from tests.server.status.made_run import (
    checkpoint,
    failed,
    made_run,
    reply,
    round_finished,
    round_started,
    started,
)

EVENTS = (
    started(),
    round_started(10, 1, "a", "b"),
    reply(20, 1, "a", 2_500_000),
    failed(25, 1, "b", "no-gpu"),
    round_finished(30, 1),
    checkpoint(50, 1),
    (60.0, "run-finished", {"status": "failed", "reason": "round 2: [too] few"}),
)


def test_a_run_is_shown_with_who_failed_and_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    made_run(tmp_path / "runs" / "r1", *EVENTS)
    assert main(["status", "r1", "--federation", str(tmp_path)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "status failed" in shown
    assert "reason round 2: [too] few" in shown
    assert "round 1 of 5 of training" in shown
    assert "1 of 2 sites answered" in shown
    assert "received 2.5 MB" in shown
    assert "1 of 5 rounds, 40.0 s each" in shown
    assert f"b (no-gpu): {advice('no-gpu')}" in shown
    assert "then `lesionfed resume r1`" in shown


def test_the_same_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_run(tmp_path / "r", *EVENTS)
    assert main(["status", "--run", str(tmp_path / "r"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["status"], told["median_round_s"]) == ("failed", 40)
    assert told["checkpoint"]["time"] == "2026-03-02T08:00:50+00:00"
    assert told["sites"][1]["last_failure"]["advice"] == advice("no-gpu")


def test_watching_ends_with_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_run(tmp_path / "r", *EVENTS)
    assert main(["status", "--run", str(tmp_path / "r"), "--watch"]) == 0
    assert "failed" in capsys.readouterr().out


def test_without_a_run_it_is_the_federation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = 'name = "ms"\naddress = "x"\nhealth_port = 1\n[[sites]]\nname = "lyon"\n'
    (tmp_path / "federation.toml").write_text(text, "utf-8")
    made_run(tmp_path / "runs" / "r1", *EVENTS)
    assert main(["status", "--federation", str(tmp_path)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "federation ms" in shown
    assert "lesionfed serve" in shown
    assert "not-enrolled" in shown
    assert "failed" in shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "want --federation FOLDER"),
        (["r1"], "want --federation FOLDER"),
        (["r1", "--run", "x"], "leave out"),
        (["--run", "x", "--json", "--watch"], "want one of the two"),
    ],
)
def test_what_is_asked_wrongly_is_refused(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_run_that_is_not_there_is_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--run", str(tmp_path)]) == 1
    assert "is not a run folder" in capsys.readouterr().err
