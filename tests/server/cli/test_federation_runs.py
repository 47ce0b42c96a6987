from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from common.recipe.recipe import load_recipe
from server.cli import follow_run, main
from server.events.event_log import EventLog
from server.events.schema import RunFinished
from server.federation.federation_folder import FederationFolder
from server.flower import run_control, serve_lock, submission, watch
from server.flower.submission import lay_out_run
from server.run.run_folder import RunFolder
from tests.server.events.made_events import run_started
from tests.server.federation.made_federation import made_federation


@pytest.fixture
def folder(tmp_path: Path) -> FederationFolder:
    return made_federation(tmp_path / "f")


def new_run(folder: FederationFolder, name: str) -> RunFolder:
    return lay_out_run(folder, recipe=load_recipe("default"), name=name)


def begun(run: RunFolder) -> EventLog:
    events = EventLog(run.events_file)
    events.record(run_started(run.path.name))
    return events


def test_every_run_is_listed_with_how_it_stands(
    folder: FederationFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    begun(new_run(folder, "cut-off"))
    begun(new_run(folder, "done")).record(RunFinished(status="completed", reason=None))
    begun(new_run(folder, "failed")).record(RunFinished(status="failed", reason="[no] disk"))
    new_run(folder, "new")
    assert main(["runs", "--federation", str(folder.path), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["name"]: row["status"] for row in rows} == {
        "cut-off": "interrupted",
        "done": "completed",
        "failed": "failed",
        "new": "not-started",
    }
    assert main(["runs", "--federation", str(folder.path)]) == 0
    assert "[no] disk" in capsys.readouterr().out


def test_a_run_that_cannot_be_read_is_listed_with_the_reason_and_hides_no_other(
    folder: FederationFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    begun(new_run(folder, "good"))
    new_run(folder, "odd").recipe_file.write_text("[[[", encoding="utf-8")
    assert main(["runs", "--federation", str(folder.path), "--json"]) == 0
    good, odd = json.loads(capsys.readouterr().out)
    assert (good["name"], good["status"]) == ("good", "interrupted")
    assert (odd["name"], odd["recipe"], odd["status"]) == ("odd", None, "unreadable")
    assert "recipe.toml: not readable as TOML" in odd["reason"]
    assert main(["runs", "--federation", str(folder.path)]) == 0
    shown = capsys.readouterr().out
    assert "good" in shown
    assert "unreadable: " in shown


def test_a_run_stopped_before_it_began_is_resumed_and_followed_to_its_end(
    folder: FederationFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = new_run(folder, "one")
    EventLog(run.events_file).record(RunFinished(status="stopped", reason="asked"))

    def executed_at_once(folder: FederationFolder, run: RunFolder) -> str:
        with run.locked():
            begun(run).record(RunFinished(status="completed", reason=None))
        return "9"

    monkeypatch.setattr(run_control, "submit", executed_at_once)
    monkeypatch.setattr(follow_run, "show_result", lambda run: None)
    with serve_lock.serving(folder):
        assert main(["resume", "one", "--federation", str(folder.path), "--quiet"]) == 0
    assert "stopped: asked" not in capsys.readouterr().err


def test_a_run_is_refused_while_nobody_serves(
    folder: FederationFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--federation", str(folder.path), "--name", "one"]) == 1
    assert "this federation is not served on this machine" in capsys.readouterr().err
    assert not folder.run("one").path.exists()


def test_a_name_that_would_leave_the_folder_is_refused(
    folder: FederationFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--federation", str(folder.path), "--name", "../x"]) == 2
    assert "want letters, digits" in capsys.readouterr().err


def submitted(folder: FederationFolder, monkeypatch: pytest.MonkeyPatch, *more: str) -> int:
    """Exit code of `lesionfed run` with a server, and a Flower that takes the run."""
    answer: dict[str, Any] = {"success": True, "run-id": "9"}
    monkeypatch.setattr(submission, "flwr", lambda *arguments: answer)
    with serve_lock.serving(folder):
        return main(["run", "--federation", str(folder.path), "--name", "one", *more])


def test_a_detached_run_says_where_to_look(
    folder: FederationFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert submitted(folder, monkeypatch, "--detach") == 0
    told = capsys.readouterr()
    assert f"`lesionfed stop one --federation {folder.path}`" in told.out
    assert "3 planned sites; not enrolled yet: lyon, ghent" in told.err


def test_to_stop_following_does_not_stop_the_run(
    folder: FederationFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*arguments: object, **more: object) -> RunFinished:
        raise KeyboardInterrupt

    monkeypatch.setattr(watch, "watch", interrupted)
    assert submitted(folder, monkeypatch, "--quiet") == 0
    assert "the run continues and is no longer followed" in capsys.readouterr().err
    assert not folder.run("one").stop_file.exists()


def test_a_run_that_fails_ends_the_command_with_its_reason(
    folder: FederationFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    end = RunFinished(status="failed", reason="too few sites")
    monkeypatch.setattr(watch, "watch", lambda *arguments, **more: end)
    monkeypatch.setattr(follow_run, "show_result", lambda run: None)
    assert submitted(folder, monkeypatch, "--quiet") == 1
    assert "failed: too few sites" in capsys.readouterr().err


def test_the_log_of_a_run_is_reported_as_text(
    folder: FederationFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    begun(new_run(folder, "one")).record(RunFinished(status="stopped", reason="asked"))
    assert main(["logs", "one", "--federation", str(folder.path)]) == 0
    first, last = capsys.readouterr().out.splitlines()
    assert first.endswith("run one of recipe default begins; training: lyon")
    assert last.endswith("the run ends: stopped: asked")


def test_the_end_of_the_superlinks_log_is_shown(
    folder: FederationFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    new_run(folder, "one")
    (folder.logs / "superlink.log").write_text("a\nb\nc\n")
    command = ["logs", "one", "--federation", str(folder.path), "--superlink", "--lines", "2"]
    assert main(command) == 0
    assert capsys.readouterr().out == "b\nc\n"
