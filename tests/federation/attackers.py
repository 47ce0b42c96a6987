"""Strangers at the proxy, as a program: `python attackers.py KIND PORT SECONDS AUTHORITY`

KIND is half-headers or large-bodies. It ends by itself after so many seconds, and prints a line of
JSON twice a second: what it has done until then.
"""

from __future__ import annotations

import json
import resource
import select
import socket
import ssl
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

N_HALF_HEADERS = 2000
N_THREADS = 8
BODY_BYTES = 200 << 20
PART = b"x" * (1 << 20)
LENGTHS = {
    "told": f"Content-Length: {BODY_BYTES}".encode(),
    "chunked": b"Transfer-Encoding: chunked",
}


class Stranger:
    """Someone who reaches the proxy's port and has no key.

    until   on the monotonic clock, when it is over
    """

    def __init__(self, port: int, *, until: float, authority: str) -> None:
        self._port = port
        self._until = until
        self._trust = ssl.create_default_context(cafile=authority)
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self._held: list[list[ssl.SSLSocket]] = []

    def hold_half_headers(self) -> None:
        """Holds N_HALF_HEADERS connections with half a header; each that is cut comes again."""
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4 * N_HALF_HEADERS), hard))
        self._run([self._hold] * N_THREADS)

    def send_large_bodies(self) -> None:
        """Sends bodies of 200 MB, four at a time, half of them without saying how long they are."""
        self._run([lambda: self._send("told"), lambda: self._send("chunked")] * 2)

    def _hold(self) -> None:
        mine: list[ssl.SSLSocket] = []
        self._held.append(mine)
        while time.monotonic() < self._until:
            for line in readable(mine):
                if is_cut(line):
                    mine.remove(line)
                    line.close()
            if len(mine) >= N_HALF_HEADERS // N_THREADS:
                time.sleep(0.05)
                continue
            try:
                line = self._connect()
                line.sendall(b"POST /v1/fleet/pull-messages HTTP/1.1\r\nHost: a\r\nX-")
            except OSError:
                self._count("refused")
                time.sleep(0.05)
                continue
            mine.append(line)
            self._count("opened")

    def _send(self, kind: str) -> None:
        while time.monotonic() < self._until:
            answer = b""
            with suppress(OSError), self._connect() as line:
                head = b"POST /v1/fleet/push-object HTTP/1.1\r\nHost: a\r\n"
                line.sendall(head + LENGTHS[kind] + b"\r\n\r\n")
                with suppress(OSError):  # it was cut; there may be an answer all the same
                    for _ in range(BODY_BYTES // len(PART)):
                        framed = b"100000\r\n" + PART + b"\r\n"
                        line.sendall(framed if kind == "chunked" else PART)
                answer = line.recv(4096)
            self._count(f"{kind} {answer[9:12].decode('ascii', 'replace') or 'cut'}")
            time.sleep(0.5)

    def _connect(self) -> ssl.SSLSocket:
        raw = socket.create_connection(("127.0.0.1", self._port), timeout=10)
        return self._trust.wrap_socket(raw, server_hostname="127.0.0.1")

    def _count(self, what: str) -> None:
        with self._lock:
            self._counts[what] = self._counts.get(what, 0) + 1

    def _run(self, jobs: list[object]) -> None:
        for job in jobs:
            threading.Thread(target=job, daemon=True).start()  # type: ignore[arg-type] # ours
        while time.monotonic() < self._until:
            time.sleep(0.5)
            with self._lock:
                held = sum(map(len, self._held))
                self._counts["most held"] = max(held, self._counts.get("most held", 0))
                sys.stdout.write(json.dumps(self._counts) + "\n")
                sys.stdout.flush()


def readable(lines: Sequence[ssl.SSLSocket]) -> list[ssl.SSLSocket]:
    """Those on which something has come; with `poll`, for `select` ends at file 1,023."""
    by_file = {line.fileno(): line for line in lines}
    poll = select.poll()
    for file in by_file:
        poll.register(file, select.POLLIN)
    return [by_file[file] for file, _ in poll.poll(0)]


def is_cut(line: ssl.SSLSocket) -> bool:
    """Whether the proxy has ended it; what it says of TLS itself is read and is nothing."""
    line.setblocking(False)
    try:
        return line.recv(4096) == b""
    except ssl.SSLWantReadError:
        return False
    except OSError:
        return True


if __name__ == "__main__":
    kind, port, seconds, authority = sys.argv[1:]
    stranger = Stranger(int(port), until=time.monotonic() + float(seconds), authority=authority)
    if kind == "half-headers":
        stranger.hold_half_headers()
    else:
        stranger.send_large_bodies()
