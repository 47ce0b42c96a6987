"""Those who are told: a web server and a mail server on loopback, and a program."""

from __future__ import annotations

import http.server
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import LIMIT_S


class Web:
    """A web server that keeps what is posted.

    wait_s   how long it takes to answer
    status   what it answers; 302 leads to `location`
    """

    def __init__(self, *, wait_s: float, status: int, location: str | None) -> None:
        self.bodies: list[str] = []
        self.kinds: list[str | None] = []
        self.address = ""
        self.released = threading.Event()
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                web.bodies.append(self.rfile.read(length).decode())
                web.kinds.append(self.headers["Content-Type"])
                web.released.wait(wait_s)
                self.send_response(status)
                if location is not None:
                    self.send_header("Location", location)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}/hook?token=secret"


@contextmanager
def web_server(
    *, wait_s: float = 0.0, status: int = 204, location: str | None = None
) -> Iterator[Web]:
    """A web server that is alive inside the block."""
    web = Web(wait_s=wait_s, status=status, location=location)
    thread = threading.Thread(target=web.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield web
    finally:
        web.released.set()
        web.server.shutdown()
        web.server.server_close()
        thread.join(LIMIT_S)


class Mail:
    """A mail server that takes one mail and keeps what it was told."""

    def __init__(self) -> None:
        self.envelope: list[str] = []
        self.text = ""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])

    def take_one(self) -> None:
        connection, _ = self.listener.accept()
        with connection, connection.makefile("rwb", buffering=0) as lines:
            lines.write(b"220 here\r\n")
            while line := lines.readline().decode().strip():
                if line.upper() == "DATA":
                    lines.write(b"354 go on\r\n")
                    mail = []
                    while (part := lines.readline().decode().rstrip("\r\n")) != ".":
                        mail.append(part)
                    self.text = "\n".join(mail)
                elif line.upper().startswith(("MAIL", "RCPT")):
                    self.envelope.append(line)
                if line.upper() == "QUIT":
                    lines.write(b"221 bye\r\n")
                    return
                lines.write(b"250 yes\r\n")


@contextmanager
def mail_server() -> Iterator[Mail]:
    """A mail server that is alive inside the block."""
    mail = Mail()
    mail.listener.settimeout(LIMIT_S)
    thread = threading.Thread(target=mail.take_one)
    thread.start()
    try:
        yield mail
    finally:
        thread.join(LIMIT_S)
        mail.listener.close()


def program(out: Path, *, code: int = 0) -> tuple[str, ...]:
    """A command that adds what comes on its input to a file, and ends with this code."""
    text = (
        "import sys; open(sys.argv[1], 'a').write(sys.stdin.read()); raise SystemExit("
        "int(sys.argv[2]))"
    )
    return sys.executable, "-c", text, str(out), str(code)
