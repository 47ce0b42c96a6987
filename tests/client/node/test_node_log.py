from __future__ import annotations

from pathlib import Path

import pytest

from client.node import node_log
from client.node.node_log import NodeLog, put_aside


def test_only_what_is_written_from_now_on_is_told(tmp_path: Path) -> None:
    path = tmp_path / "supernode.log"
    path.write_text("INFO : SuperNode ID: 1\nExit Code: 305\n", "utf-8")
    log = NodeLog(path)
    with path.open("a") as file:
        file.write("INFO : Received successfully\nINFO : Sent succ")
        file.flush()
        assert list(log.events()) == ["work-began"]
        file.write("essfully\n")
        file.flush()
        assert list(log.events()) == ["work-ended"]
    assert list(log.events()) == []
    assert log.exit_code is None


def test_flowers_exit_code_is_read_from_its_words(tmp_path: Path) -> None:
    path = tmp_path / "supernode.log"
    log = NodeLog(path)
    path.write_text("ERROR : Exit Code: 305\n[code: 7] Failed to activate SuperNode.\n", "utf-8")
    assert list(log.events()) == ["not-activated"]
    assert log.exit_code == 305


def test_the_tail_is_the_last_lines_that_say_something(tmp_path: Path) -> None:
    path = tmp_path / "supernode.log"
    path.write_text("a\n\nb\n\nc\n\n", "utf-8")
    assert NodeLog(path).tail(2) == "b\nc"


def test_a_log_that_has_grown_is_put_aside_and_the_oldest_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_log, "KEEP_BYTES", 3)
    monkeypatch.setattr(node_log, "KEEP_FILES", 2)
    path = tmp_path / "supernode.log"
    for text in ("one", "two", "three", "4"):
        path.write_text(text, "utf-8")
        put_aside(path)
    kept = {file.name: file.read_text("utf-8") for file in tmp_path.iterdir()}
    assert kept == {"supernode.log": "4", "supernode.log.1": "three", "supernode.log.2": "two"}
