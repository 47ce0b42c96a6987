from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import IO, Any

import pytest

from client.flower import node_log
from client.flower.node_log import NodeLog, rotate


def test_only_what_is_written_from_now_on_is_reported(tmp_path: Path) -> None:
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
        rotate(path)
    kept = {file.name: file.read_text("utf-8") for file in tmp_path.iterdir()}
    assert kept == {"supernode.log": "4", "supernode.log.1": "three", "supernode.log.2": "two"}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_log, "KEEP_BYTES", 64)
    monkeypatch.setattr(node_log, "KEEP_FILES", 2)


@pytest.mark.usefixtures("small")
def test_a_log_is_turned_over_while_it_is_held_open_and_no_event_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "supernode.log"
    with path.open("a") as held:
        log = NodeLog(path)
        told = []
        for number in range(20):
            held.write(f"{number:02} INFO : Received successfully\n")
            held.write(f"{number:02} INFO : Sent succ")  # the log is looked at within a line
            held.flush()
            told += list(log.events())
            held.write("essfully\n")
            held.flush()
        told += list(log.events())
    assert told == ["work-began", "work-ended"] * 20
    kept = {file.name: file.stat().st_size for file in tmp_path.iterdir()}
    assert sorted(kept) == ["supernode.log", "supernode.log.1", "supernode.log.2"]
    assert max(kept.values()) < 64 + 100  # one look's lines more
    assert path.read_bytes()[:1] != b"\0"  # whoever appends does not begin at the old end


@pytest.mark.usefixtures("small")
def test_what_is_written_while_the_log_is_copied_is_in_the_copy_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "supernode.log"
    path.touch()
    log = NodeLog(path)
    path.write_text("x" * 64 + "\n", "utf-8")

    def copy_while_it_is_written(file: IO[bytes], copy: IO[bytes], length: int) -> None:
        with path.open("a") as held:
            held.write("INFO : Sent successfully\n")
        copy.write(file.read())

    monkeypatch.setattr(shutil, "copyfileobj", copy_while_it_is_written)
    assert list(log.events()) == ["work-ended"]
    assert path.read_bytes() == b""
    assert path.with_name("supernode.log.1").read_text("utf-8").endswith("Sent successfully\n")
    assert list(log.events()) == []


@pytest.mark.usefixtures("small")
def test_a_log_that_cannot_be_copied_stays_and_is_followed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "supernode.log"
    path.touch()
    log = NodeLog(path)
    n_tried = 0

    def full(*_: Any) -> None:
        nonlocal n_tried
        n_tried += 1
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with caplog.at_level(logging.WARNING), path.open("a") as held:
        for words in ("x" * 64, "Received successfully", "Sent successfully"):
            held.write(f"{words}\n")
            held.flush()
            assert len(list(log.events())) == (words[0] != "x")
    assert n_tried == 1  # not at every look
    assert "was not rotated: No space left on device" in caplog.text
    assert [file.name for file in tmp_path.iterdir()] == ["supernode.log"]
