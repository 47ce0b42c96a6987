from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from common.errors import FlowerError
from common.programs import PROGRAMS
from server.flower import flwr_command
from server.flower.flwr_command import flwr
from server.flower.programs import flower_environment
from tests.server.federation.made_federation import made_federation


def test_flower_is_at_home_in_the_folder_quiet_and_past_every_proxy(tmp_path: Path) -> None:
    folder = made_federation(tmp_path / "f")
    given = {"PATH": "/bin", "NO_PROXY": "example.org", "HTTPS_PROXY": "http://proxy:1"}
    made = flower_environment(folder, given)
    assert made["FLWR_HOME"] == str(folder.flwr_home.resolve())
    assert made["PATH"] == f"{PROGRAMS}{os.pathsep}/bin"
    assert made["NO_PROXY"] == "example.org,127.0.0.1,localhost"
    assert made["no_proxy"] == "127.0.0.1,localhost"
    assert made["FLWR_TELEMETRY_ENABLED"] == "0"
    assert given["PATH"] == "/bin"


def test_what_flower_refuses_is_reported_in_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made_federation(tmp_path / "f")
    answer = '{"success": false, "error-message": "no such run"}'
    done = subprocess.CompletedProcess(["flwr"], 1, stdout=answer, stderr="")
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: done)
    with pytest.raises(FlowerError, match=r"flwr stop 5: exit code 1: no such run"):
        flwr(folder, "stop", "5")


def test_flower_that_hangs_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made_federation(tmp_path / "f")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "flwr").write_text("#!/bin/sh\nexec sleep 60\n")
    (programs / "flwr").chmod(0o755)
    monkeypatch.setattr(flwr_command, "PROGRAMS", programs)
    monkeypatch.setattr(flwr_command, "COMMAND_S", 0.2)
    with pytest.raises(FlowerError, match=r"no answer within 0.2 s. Does `lesionfed serve` run"):
        flwr(folder, "ls")
