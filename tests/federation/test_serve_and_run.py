from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w

from common.recipe.recipe import load_recipe
from common.wire.field_types import Arrays
from server.flower.programs import port_answers
from server.flower.serve_lock import is_served
from server.run.checkpoint import load_checkpoint
from server.run.run_folder import RunFolder
from tests.federation.processes import wait_beside
from tests.federation.served import ServedFederation, served
from tests.waiting import LIMIT_S, wait_until

pytestmark = pytest.mark.federation

SITES = ("site-a", "site-b")
TOY = (
    "network.widths=[4, 4, 8, 8]",
    "network.first_stride=1",
    "sampling.patch_shape=[32, 32, 32]",
    "optimizer.steps=3",
    "federation.rounds=2",
    "compute.threads=1",
)


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with served(tmp_path_factory.mktemp("served"), SITES) as federation:
        yield federation


def recipe_file(federation: ServedFederation) -> str:
    table = load_recipe("default", overrides=TOY).model_dump(mode="json", exclude_none=True)
    path = federation.base / "toy.toml"
    path.write_text(tomli_w.dumps(table), encoding="utf-8")
    return str(path)


def events_of(run: RunFolder) -> list[dict[str, Any]]:
    if not run.events_file.exists():
        return []
    text = run.events_file.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def rounds_finished(run: RunFolder) -> list[tuple[str, int]]:
    return [
        (event["phase"], event["round"])
        for event in events_of(run)
        if event["event"] == "round-finished"
    ]


def pid_of_the_conductor(run: RunFolder) -> int:
    """Process id of the ServerApp that executes the run: it has its lock file open."""
    lock = str((run.path / "lock").resolve())
    for place in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(place) == lock:
                return int(place.parts[2])
        except OSError:
            continue
    raise LookupError("no process executes the run")


@pytest.fixture(scope="module")
def first(federation: ServedFederation) -> subprocess.CompletedProcess[str]:
    """How `lesionfed run` ended for a run that nobody disturbed."""
    return federation.lesionfed("run", "--recipe", recipe_file(federation), "--name", "first")


def test_a_run_goes_from_the_command_line_to_its_report(
    federation: ServedFederation, first: subprocess.CompletedProcess[str]
) -> None:
    assert first.returncode == 0, first.stderr
    assert "completed; round" in first.stdout
    run = federation.folder.run("first")
    assert (run.path / "report.html").is_file()
    assert [s["name"] for s in events_of(run)[0]["sites"]] == list(SITES)
    assert len(run.submissions_file.read_text().splitlines()) == 1
    listed = json.loads(federation.lesionfed("runs", "--json").stdout)
    assert [(row["name"], row["status"]) for row in listed] == [("first", "completed")]


def test_a_run_whose_process_was_killed_ends_as_failed_and_resumed_learns_what_it_would_have(
    federation: ServedFederation, first: subprocess.CompletedProcess[str]
) -> None:
    assert first.returncode == 0, first.stderr
    run = federation.folder.run("second")
    started = federation.lesionfed(
        "run", "--recipe", recipe_file(federation), "--name", "second", "--detach"
    )
    assert started.returncode == 0, started.stderr
    [server, *_] = federation.services
    wait_beside([server], lambda: ("training", 1) in rounds_finished(run), "a round", limit_s=600)
    os.kill(pid_of_the_conductor(run), signal.SIGKILL)
    wait_beside([server], lambda: len(ends_of(run)) == 1, "the run's end", limit_s=600)
    [end] = ends_of(run)
    assert (end["status"], "lesionfed resume second" in end["reason"]) == ("failed", True)

    done = federation.lesionfed("resume", "second")
    assert done.returncode == 0, done.stderr
    assert [end["status"] for end in ends_of(run)] == ["failed", "completed"]
    counted = rounds_finished(run)
    assert [c for c in counted if c[0] == "training"] == [("training", 1), ("training", 2)]
    assert len(run.submissions_file.read_text().splitlines()) == 2
    learned, wanted = (last_parameters(federation.folder.run(n)) for n in ("second", "first"))
    assert learned.keys() == wanted.keys()
    for name, values in wanted.items():  # up to the order in which answers are folded in
        np.testing.assert_allclose(learned[name], values, rtol=0, atol=1e-6, err_msg=name)


def ends_of(run: RunFolder) -> list[dict[str, Any]]:
    return [event for event in events_of(run) if event["event"] == "run-finished"]


def last_parameters(run: RunFolder) -> Arrays:
    state = load_checkpoint(run.checkpoints)
    assert state is not None
    return state.parameters


def test_a_server_killed_without_warning_leaves_nothing_and_the_next_takes_over(
    tmp_path: Path,
) -> None:
    federation = ServedFederation(tmp_path, SITES)
    port = federation.folder.settings().superlink_port
    try:
        first = federation.serve()
        os.kill(first._process.pid, signal.SIGKILL)
        wait_until(lambda: not port_answers(port), "the end of the SuperLink after its server's")
        # its last thread may outlive for a moment the one whose end ended the SuperLink
        wait_until(lambda: not is_served(federation.folder), "the end of the killed server's lock")
        second = federation.serve()
        refused = federation.lesionfed("serve")
        assert refused.returncode == 2
        assert "another `lesionfed serve` serves this federation" in refused.stderr
        second.send(signal.SIGTERM)
        assert second.group_ends_within(LIMIT_S)
        assert second.exit_code() == 0
    finally:
        for service in federation.services:
            service.send(signal.SIGKILL)
            service.group_ends_within(LIMIT_S)
