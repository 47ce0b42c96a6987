"""Hands a ClientApp's arguments to the process that waits, or starts a new one in its place.

    python -I -S ask_standby.py PIPE N PROGRAM... ARGUMENTS...

PROGRAM is N words long. It is started, with the arguments behind it, where nothing reads the pipe
(standby.py). Run as a file and with the standard library alone, so that it takes 0.02 s.
"""

from __future__ import annotations

import json
import os
import select
import sys


def main() -> None:
    """Returns when the arguments were handed over; else the process becomes PROGRAM."""
    pipe, n_words, *words = sys.argv[1:]
    program, arguments = words[: int(n_words)], words[int(n_words) :]
    try:
        hand_over(pipe, arguments)
    except OSError:
        os.execv(program[0], [*program, *arguments])  # noqa: S606 - the hospital's own, no shell


def hand_over(pipe: str, arguments: list[str]) -> None:
    """Writes the arguments as one line; OSError where nothing reads it or it is cut.

    A line of at most PIPE_BUF bytes never mixes with another.
    """
    line = json.dumps(with_token(arguments)).encode() + b"\n"
    if len(line) > select.PIPE_BUF:
        raise OSError(f"{len(line)} bytes are too long for one write")
    place = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    try:
        os.write(place, line)
    finally:
        os.close(place)


def with_token(arguments: list[str]) -> list[str]:
    """The arguments with the token itself: the file that holds it can be opened here alone."""
    if "--token-file" not in arguments:
        return arguments
    at = arguments.index("--token-file")
    with open(arguments[at + 1], encoding="ascii") as file:
        return [*arguments[:at], "--token", file.read(), *arguments[at + 2 :]]


if __name__ == "__main__":
    main()
