"""A process that waits with everything imported: `python -m client.flower.standby PIPE`

Flower starts a new process for every message, and its imports alone (torch, MONAI, Flower) cost 6 s
of one core. This one has imported them. For each line of arguments that comes through the named
pipe it forks, and the child is Flower's program with our parts, as clientapp.py would run it. Each
message still has a process of its own, which ends with it; no code but the installed one was ever
imported.

Nothing of Flower's, of torch's or of CUDA's is used before the fork, only imported: what they start
(threads, connections, a device) would not survive it.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from client.flower import clientapp  # before Flower: it remembers where our packages lie

log = logging.getLogger(__name__)

READ_BYTES = 65536


def main() -> None:
    """Never returns: the SuperNode's end is this process's end (common/programs.py)."""
    clientapp.log_to_stderr()
    import torch._dynamo  # noqa: F401 - imported by an optimizer's first step: 2 s of one core

    import client.app  # noqa: F401 - all else that an answer takes

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no parent waits for a child: no zombie stays
    wait_for_work(Path(sys.argv[1]), become=clientapp.main)


def wait_for_work(pipe: Path, *, become: Callable[[], int]) -> NoReturn:
    """Makes a child of each line that comes through the pipe.

    pipe     made again; until now a caller finds no reader, and starts a program of its own
    become   what the child does, with the line's words in sys.argv; its exit code
    """
    with _opened(pipe) as requests:
        log.info("standby: ready")
        begun = b""
        while True:
            *lines, begun = (begun + os.read(requests, READ_BYTES)).split(b"\n")
            for line in lines:
                arguments = _arguments(line)
                if arguments is not None and _fork() == 0:
                    os.close(requests)
                    _end_as(arguments, become)


@contextmanager
def _opened(pipe: Path) -> Iterator[int]:
    """A pipe that only this user can write to, open for reading.

    For writing too: without any writer a read would find the end again and again.
    """
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe, mode=0o600)
    requests = os.open(pipe, os.O_RDWR | os.O_CLOEXEC)
    try:
        yield requests
    finally:
        os.close(requests)


def _arguments(line: bytes) -> list[str] | None:
    """The words of one request; None, and a line in the log, for anything else."""
    try:
        words = json.loads(line)
    except ValueError:
        words = None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        log.error("standby: want a list of words, got %d bytes of something else", len(line))
        return None
    return words


def _fork() -> int:
    """0 in the child; in the parent its id, or -1 where there is no memory for one."""
    try:
        return os.fork()
    except OSError as error:  # the coordinator asks again
        log.error("standby: no process for the work that came: %s", error)
        return -1


def _end_as(arguments: list[str], become: Callable[[], int]) -> NoReturn:
    """Does the child's work and ends the process: nothing of its parent's is done twice."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    sys.argv = [clientapp.PROGRAM, *arguments]
    code = 1
    try:
        code = become()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # the last one who could say so
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
