"""The process that waits for work, in its own process as in the product, and who asks it."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from client.flower import ask_standby
from tests.waiting import wait_until

WAITING = """
import os, sys
from pathlib import Path
from client.flower import standby

def become():
    print("child", os.getpid(), os.getppid(), *sys.argv, flush=True)
    if "fail" in sys.argv:
        raise ValueError("as asked")
    if "sleep" in sys.argv:
        import time
        time.sleep(600)
    sys.exit(int(sys.argv[-1]))

standby.signal.signal(standby.signal.SIGCHLD, standby.signal.SIG_IGN)
standby.wait_for_work(Path(sys.argv[1]), become=become)
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A process on standby.

    log   all that it and its children print
    """

    process: subprocess.Popen[bytes]
    pipe: Path
    log: Path

    def await_words(self, words: str) -> str:
        """The log, once the words stand in it."""
        wait_until(lambda: words in self.said(), lambda: f"{words!r} in the log:\n{self.said()}")
        return self.said()

    def said(self) -> str:
        """The log as it is."""
        return self.log.read_text("utf-8")

    def ask(self, *arguments: str, instead: str = "nobody") -> str:
        """What the one who asks prints: nothing where the work was handed over."""
        program = [sys.executable, "-c", f"print({instead!r})"]
        command = [sys.executable, "-I", "-S", ask_standby.__file__, str(self.pipe)]
        command += [str(len(program)), *program, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_who_hands_work_over_reads_the_token_that_nobody_else_can(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("secret", "ascii")
    words = ["--token-file", str(file), "--parent-pid", "7"]
    assert ask_standby.with_token(words) == ["--token", "secret", "--parent-pid", "7"]
    assert ask_standby.with_token(["--parent-pid", "7"]) == ["--parent-pid", "7"]


@contextmanager
def running(command: Sequence[str], folder: Path) -> Iterator[Waiting]:
    """The command, which makes the pipe in the folder; all that it started ends with the block."""
    pipe, log = folder / "pipe", folder / "log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, *command],
            stdout=sink,
            stderr=subprocess.STDOUT,
            # the linear algebra library's threads, which it ends and starts around a fork itself
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,
        )
    try:
        wait_until(lambda: is_read(pipe), lambda: f"a reader of the pipe:\n{log.read_text()}")
        yield Waiting(process=process, pipe=pipe, log=log)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def is_read(pipe: Path) -> bool:
    """Whether somebody has opened the pipe; where it is just made, nobody has yet."""
    try:
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Waiting]:
    command = ["-c", WAITING, str(tmp_path / "pipe")]
    with running(command, tmp_path) as found:
        yield found


def test_each_request_is_a_process_of_its_own_with_the_words_that_came(waiting: Waiting) -> None:
    assert waiting.ask("--token", "a b", "0") == ""
    assert waiting.ask("--token", "c", "0") == ""
    for words in ("--token a b 0\n", "--token c 0\n"):  # in any order: they run side by side
        waiting.await_words(f"flwr-clientapp {words}")
    lines = [line.split() for line in waiting.said().splitlines()]
    assert sorted(line[3:] for line in lines) == [
        ["flwr-clientapp", "--token", "a", "b", "0"],
        ["flwr-clientapp", "--token", "c", "0"],
    ]
    children = {int(line[1]) for line in lines}
    assert len(children) == 2
    assert {int(line[2]) for line in lines} == {waiting.process.pid}
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children), "their end")


def test_a_child_that_fails_says_why_and_the_next_one_comes(waiting: Waiting) -> None:
    waiting.ask("fail")
    waiting.await_words("ValueError: as asked")
    waiting.ask("next", "0")
    waiting.await_words("next")


def test_what_is_no_list_of_words_is_passed_over(waiting: Waiting) -> None:
    with waiting.pipe.open("wb", buffering=0) as pipe:
        pipe.write(b'not json\n{"a": 1}\n[1]\n["good", "0"]\n')
    text = waiting.await_words("flwr-clientapp good 0")
    assert text.count("child") == 1


def test_only_this_user_can_ask(waiting: Waiting) -> None:
    assert stat.S_IMODE(waiting.pipe.stat().st_mode) == 0o600


def test_another_request_is_taken_while_a_child_works(waiting: Waiting) -> None:
    waiting.ask("sleep")
    waiting.await_words("sleep")
    waiting.ask("0")
    waiting.await_words("flwr-clientapp 0")


def test_a_new_program_is_started_where_nobody_waits(waiting: Waiting) -> None:
    waiting.process.kill()
    waiting.process.wait()
    assert waiting.pipe.exists()  # a pipe without a reader
    assert waiting.ask("0", instead="started") == "started\n"
    waiting.pipe.unlink()
    assert waiting.ask("0", instead="started") == "started\n"


def test_a_request_too_long_for_one_write_starts_a_new_program(waiting: Waiting) -> None:
    assert waiting.ask("x" * 5000, "0", instead="started") == "started\n"
    waiting.ask("short", "0")
    assert "xxxxx" not in waiting.await_words("flwr-clientapp short 0")


def test_the_real_one_is_flowers_program_and_has_no_thread_that_a_fork_would_lose(
    tmp_path: Path,
) -> None:
    command = ["-P", "-m", "client.flower.standby", str(tmp_path / "pipe")]
    with running(command, tmp_path) as waiting:
        assert len(list(Path(f"/proc/{waiting.process.pid}/task").iterdir())) == 1
        waiting.ask("--help")
        assert "usage: flwr-clientapp" in waiting.await_words("--runtime-api-address")
