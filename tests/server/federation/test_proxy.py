"""nginx lets a site POST to /v1/fleet/ and refuses everything else, tried with a real nginx."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from server.federation import proxy
from server.federation.federation_folder import FederationFolder, FederationSettings
from server.federation.proxy import LARGEST_BODY_MB, bring_proxy_file, nginx_configuration
from tests.consortia import federation
from tests.ports import free_port, listens
from tests.waiting import LIMIT_S, wait_until

NGINX = shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
needs_nginx = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


def settings(address: str) -> FederationSettings:
    table = {"name": "ms-north", "address": address, "port": 8443, "sites": [{"name": "alpha"}]}
    return FederationSettings.from_table(table, where="test")


class Echo(BaseHTTPRequestHandler):
    """Stands for the SuperLink: answers with the path it was asked for."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.asked.append(self.path)
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.path)))
        self.end_headers()
        self.wfile.write(self.path.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def joint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FederationFolder]:
    """A federation whose nginx runs in front of an echo with the server's certificate."""
    made = federation(tmp_path_factory.mktemp("p"), port=free_port(), superlink_port=free_port())
    behind = ThreadingHTTPServer(("127.0.0.1", made.settings().superlink_port), Echo)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(made.certificate_file, made.certificate_key_file)
    behind.socket = tls.wrap_socket(behind.socket, server_side=True)
    thread = threading.Thread(target=behind.serve_forever, daemon=True)
    thread.start()
    nginx = subprocess.Popen([*command(made), "-g", "daemon off;"])
    try:
        wait_until(
            lambda: nginx.poll() is not None or listens(made.settings().port), "nginx's answer"
        )
        assert nginx.poll() is None, (made.proxy_file.parent / "error.log").read_text("utf-8")
        yield made
    finally:
        nginx.terminate()
        nginx.wait(LIMIT_S)
        behind.shutdown()
        behind.server_close()
        thread.join(LIMIT_S)


def command(made: FederationFolder) -> list[str]:
    at = made.proxy_file.parent.resolve()
    return [str(NGINX), "-e", f"{at}/error.log", "-c", f"{at}/nginx.conf", "-p", str(at)]


def ask(made: FederationFolder, path: str, method: str = "POST") -> tuple[int, str]:
    """Status and text of one request, its path sent exactly as written."""
    trust = ssl.create_default_context(cafile=made.authority_file)
    connection = http.client.HTTPSConnection(
        "127.0.0.1", made.settings().port, context=trust, timeout=LIMIT_S
    )
    try:
        connection.request(method, path, body=b"x" if method == "POST" else None)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_the_text_has_the_ports_and_bounds_of_the_federation() -> None:
    text = nginx_configuration(settings("fed.example.org"))
    for line in (
        "listen 8443 ssl;",
        "client_max_body_size 8m;",
        "proxy_pass https://127.0.0.1:18000/v1/fleet/;",
        "proxy_ssl_verify on;",
    ):
        assert line in text


def test_the_file_on_disk_follows_the_settings_and_what_stood_there_is_kept(tmp_path: Path) -> None:
    made = federation(tmp_path, port=free_port())
    assert not bring_proxy_file(made)
    port = free_port()
    changed = made.settings_file.read_text("utf-8").replace(
        "superlink_port = 1", f"superlink_port = {port}"
    )
    made.settings_file.write_text(changed, "utf-8")
    before = made.proxy_file.read_bytes()
    assert bring_proxy_file(made)
    assert f"127.0.0.1:{port}/".encode() in made.proxy_file.read_bytes()
    assert made.proxy_file.with_name("nginx.conf.before").read_bytes() == before
    assert not bring_proxy_file(made)


@pytest.mark.parametrize("address", ["lesionfed.example.org", "192.0.2.1", "2001:db8::1"])
def test_both_families_are_listened_for_whatever_the_name_leads_to(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy, "has_ipv6", lambda: True)
    text = nginx_configuration(settings(address))
    assert ("listen 8443 ssl;" in text, "listen [::]:8443 ssl;" in text) == (True, True)
    monkeypatch.setattr(proxy, "has_ipv6", lambda: False)
    assert "[::]" not in nginx_configuration(settings(address))


@needs_nginx
def test_nginx_accepts_the_configuration(tmp_path: Path) -> None:
    made = federation(tmp_path, port=free_port())
    done = subprocess.run(
        [*command(made), "-t"], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "emerg" not in done.stderr


@needs_nginx
@pytest.mark.parametrize("path", ["/v1/fleet/pull-messages", "/v1/fleet/push-object"])
def test_a_site_reaches_the_fleet(joint: FederationFolder, path: str) -> None:
    assert ask(joint, path) == (200, path)


@needs_nginx
def test_the_superlink_is_asked_for_the_path_that_was_judged(joint: FederationFolder) -> None:
    assert ask(joint, "/v1/control/../fleet//pull-messages") == (200, "/v1/fleet/pull-messages")


@needs_nginx
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/health",
        "/docs",
        "/openapi.json",
        "/v1/fleet",
        "/v1/control/register-node",
        "/v1/runtime/pull",
        "/v1/fleet/register-node",
        "/v1/fleet//register-node",
        "/v1/fleet/register-node/",
        "/v1/fleet/%72egister-node",
        "/v1/fleet/unregister-node",
        "/v1/fleet/../control/start-run",
        "/v1/fleet/%2e%2e/control/start-run",
        "/v1/fleet/..%2fcontrol/start-run",
        "//v1/control/start-run",
        "/V1/control/start-run",
    ],
)
def test_nothing_else_is_reached(joint: FederationFolder, path: str) -> None:
    assert ask(joint, path)[0] == 403


@needs_nginx
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD"])
def test_the_fleet_is_reached_by_post_only(joint: FederationFolder, method: str) -> None:
    assert ask(joint, "/v1/fleet/pull-messages", method)[0] == 403


@needs_nginx
def test_what_was_refused_is_logged_and_the_rest_is_not(joint: FederationFolder) -> None:
    ask(joint, "/v1/fleet/a-poll")
    ask(joint, "/v1/control/an-attack")
    log = joint.proxy_file.parent / "access.log"
    wait_until(lambda: "an-attack" in log.read_text("utf-8"), "its line in the log")
    assert "a-poll" not in log.read_text("utf-8")


def test_no_request_is_larger_than_flowers_own_by_more_than_a_little() -> None:
    from flwr.common.constant import FLWR_PRIVATE_MAX_ARRAY_CHUNK_SIZE

    assert FLWR_PRIVATE_MAX_ARRAY_CHUNK_SIZE < LARGEST_BODY_MB << 20 < 2 * (5 << 20)


def opened(made: FederationFolder) -> ssl.SSLSocket:
    """A connection to the proxy, TLS done."""
    trust = ssl.create_default_context(cafile=made.authority_file)
    raw = socket.create_connection(("127.0.0.1", made.settings().port), timeout=LIMIT_S)
    return trust.wrap_socket(raw, server_hostname="127.0.0.1")


@needs_nginx
def test_a_body_larger_than_any_of_flowers_is_refused(joint: FederationFolder) -> None:
    with opened(joint) as line:
        size_bytes = (LARGEST_BODY_MB << 20) + 1
        line.sendall(
            f"POST /v1/fleet/push-object HTTP/1.1\r\nHost: a\r\nContent-Length: {size_bytes}"
            "\r\n\r\n".encode()
        )
        assert b" 413 " in line.recv(4096)


@needs_nginx
def test_a_body_that_does_not_say_how_large_it_is_is_refused_too(joint: FederationFolder) -> None:
    with opened(joint) as line:
        line.sendall(
            b"POST /v1/fleet/push-object HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        with suppress(OSError):  # refused while we still send
            for _ in range(LARGEST_BODY_MB + 1):
                line.sendall(b"100000\r\n" + bytes(1 << 20) + b"\r\n")
        assert b" 413 " in line.recv(4096)


@needs_nginx
def test_half_a_body_never_reaches_the_superlink(joint: FederationFolder) -> None:
    """It would wait there, and hold what came."""
    n_before = len(Echo.asked)
    with opened(joint) as line:
        line.sendall(
            b"POST /v1/fleet/half HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 9
        )
        assert ask(joint, "/v1/fleet/whole") == (200, "/v1/fleet/whole")
        assert Echo.asked[n_before:] == ["/v1/fleet/whole"]


@needs_nginx
def test_half_a_header_is_waited_for_10_s(joint: FederationFolder) -> None:
    with opened(joint) as line:
        began = time.monotonic()
        line.sendall(b"POST /v1/fleet/half HTTP/1.1\r\nHost")
        with suppress(ConnectionResetError):  # reset_timedout_connection
            assert line.recv(4096) == b""
        waited_s = time.monotonic() - began
    assert 8 <= waited_s < 30, waited_s


@needs_nginx
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_as_large_as_any_of_flowers_gets_through(
    joint: FederationFolder, chunked: bool
) -> None:
    """Also where root has started nginx, whose workers can then write no file in the folder."""
    trust = ssl.create_default_context(cafile=joint.authority_file)
    connection = http.client.HTTPSConnection(
        "127.0.0.1", joint.settings().port, context=trust, timeout=LIMIT_S
    )
    body = bytes(6 << 20)
    try:
        parts = (body[start : start + (1 << 16)] for start in range(0, len(body), 1 << 16))
        connection.request("POST", "/v1/fleet/6mb", body=parts if chunked else body)
        assert connection.getresponse().status == 200
    finally:
        connection.close()
    assert "Permission denied" not in (joint.proxy_file.parent / "error.log").read_text("utf-8")
