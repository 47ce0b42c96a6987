"""What a coordinator's server can make a hospital's node do, by real HTTP on loopback."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from flwr.proto.fleet_pb2 import PullMessagesRequest

from common.preflight import plain_fleet_client
from common.preflight.plain_fleet_client import PlainFleetClient


class Answers(ThreadingHTTPServer):
    """Answers every request alike, and keeps what it was asked."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.headers, self.body = status, headers, body
        self.asked: list[tuple[str, str | None]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Answers

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.path, self.headers.get("Accept-Encoding")))
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    do_GET = do_POST

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@contextmanager
def answering(
    status: int, headers: dict[str, str] | None = None, body: bytes = b""
) -> Iterator[Answers]:
    server = Answers(status, headers or {}, body)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def pull(server: Answers) -> None:
    with PlainFleetClient(server.address) as client:
        client.PullMessages(PullMessagesRequest())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_the_hospitals_own_network_is_not_followed(status: int) -> None:
    with answering(200) as inner, answering(status, {"Location": f"{inner.address}/pacs"}) as outer:
        with pytest.raises(httpx.HTTPStatusError, match=str(status)):
            pull(outer)
        assert inner.asked == []


def test_no_compression_is_asked_for() -> None:
    with answering(200) as server:
        pull(server)
        assert server.asked == [("/v1/fleet/pull-messages", "identity")]


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity, gzip"])
def test_a_compressed_answer_is_refused_unread(encoding: str) -> None:
    """10 MB of zeros in 10 kB: inflated they are what a hostile server wants."""
    body = gzip.compress(bytes(10 << 20))
    with (
        answering(200, {"Content-Encoding": encoding}, body) as server,
        pytest.raises(httpx.DecodingError, match=f"in the encoding '{encoding}', and none was"),
    ):
        pull(server)


def test_an_answer_has_a_longest_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_fleet_client, "LONGEST_ANSWER_BYTES", 1 << 16)
    with (
        answering(200, body=bytes(1 << 20)) as server,
        pytest.raises(httpx.DecodingError, match="more than 65536 bytes in one answer"),
    ):
        pull(server)


def test_an_answer_as_it_should_be_is_taken() -> None:
    with answering(200, {"Content-Encoding": "identity"}) as server:
        pull(server)
