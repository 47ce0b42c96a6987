"""What `lesionfed serve` says of its certificates, and that no look of its ends it."""

from __future__ import annotations

import sqlite3
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from common.errors import ConfigError
from common.membership.certificate import EXPIRY_WARNING_DAYS, validity
from server.federation.authority import new_authority, new_server_certificate
from server.federation.federation_folder import FederationFolder
from server.federation.provision import rotate_certificate
from server.flower import supervisor
from server.flower.child import Child
from server.flower.interrupted_runs import InterruptedRuns
from server.flower.supervisor import _Server, serve
from server.status.run_status import run_status
from tests.consortia import federation
from tests.ports import free_port
from tests.server.status.made_run import made_run, started
from tests.waiting import LIMIT_S


def test_a_rotated_certificate_is_reported_once_and_the_warnings_of_the_old_one_continue(
    tmp_path: Path,
) -> None:
    joint = federation(tmp_path)
    start, end = validity(joint.certificate_file.read_bytes())
    long_ago = datetime.now(UTC) - (end - start) + timedelta(days=EXPIRY_WARNING_DAYS - 5)
    authority = new_authority("ms-north", now=long_ago)
    joint.authority_file.write_bytes(authority.certificate)
    joint.authority_key_file.write_bytes(authority.key)
    old = new_server_certificate(authority, address="lesionfed.example.org", now=long_ago)
    joint.certificate_file.write_bytes(old.certificate)
    said: list[str] = []
    server = _Server(joint, with_proxy=False, say=said.append, stopped=threading.Event())
    server._check_rotation()
    assert said == []
    rotate_certificate(joint)
    server._check_rotation()
    server._check_rotation()
    assert len(said) == 1
    assert "only after a reload of nginx and a restart of `lesionfed serve`" in said[0]
    server._check_certificates()
    assert len(said) == 2
    assert "warning: the server's certificate expires on" in said[1]
    assert said[1].endswith("; run `lesionfed rotate`")


SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that only sleep and always answer, and looks in haste."""
    monkeypatch.setattr(supervisor, "superlink_command", lambda folder: SLEEP)
    monkeypatch.setattr(supervisor, "superexec_command", lambda folder, health_port: SLEEP)
    monkeypatch.setattr(supervisor, "superlink_answers", lambda folder: True)
    monkeypatch.setattr(supervisor._Server, "_superexec_answers", lambda server: True)
    monkeypatch.setattr(supervisor, "port_answers", lambda port: False)
    monkeypatch.setattr(supervisor, "POLL_S", 0.01)
    monkeypatch.setattr(supervisor, "REGISTER_AGAIN_S", 0.01)


class Fails:
    """Fails each time it is called, and sets `stop` at the tenth."""

    def __init__(self, error: Exception, stop: threading.Event) -> None:
        self._error = error
        self._stop = stop
        self.n = 0

    def __call__(self, *arguments: object) -> None:
        self.n += 1
        if self.n >= 10:
            self._stop.set()
        raise self._error


def served_until(stop: threading.Event, folder: FederationFolder) -> list[Child]:
    """Serves until `stop` is set, LIMIT_S at most; the programs that were run."""
    server = _Server(folder, with_proxy=False, say=lambda text: None, stopped=stop)
    overdue = threading.Timer(LIMIT_S, stop.set)
    overdue.start()
    try:
        server.run()
    finally:
        overdue.cancel()
    return server._children


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("target", "error"),
    [
        pytest.param(
            "server.flower.flower_nodes.reconcile",
            sqlite3.OperationalError("no such table: node"),
            id="members, table not there yet",
        ),
        pytest.param(
            "server.flower.flower_nodes.reconcile",
            OSError(28, "No space left on device"),
            id="members, disk full",
        ),
        pytest.param(
            "server.flower.supervisor.note_children",
            OSError(28, "No space left on device"),
            id="note of programs",
        ),
        pytest.param(
            "server.flower.interrupted_runs.all_runs", OSError(13, "Permission denied"), id="runs"
        ),
        pytest.param(
            "server.flower.supervisor.require_pair", OSError(5, "Input/output error"), id="key"
        ),
    ],
)
def test_a_check_that_fails_is_tried_again_and_ends_nothing(
    target: str,
    error: Exception,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    joint, stop = federation(tmp_path), threading.Event()
    monkeypatch.setattr("server.flower.interrupted_runs.CHECK_S", 0.01)
    fails = Fails(error, stop)
    monkeypatch.setattr(target, fails)
    children = served_until(stop, joint)
    assert fails.n >= 10
    assert len([text for text in caplog.messages if str(error) in text]) == 1
    assert [child.n_starts for child in children] == [1, 1]
    assert not any(child.is_alive for child in children)


@pytest.mark.usefixtures("quick")
def test_a_program_that_is_gone_from_the_disk_does_not_keep_the_other_from_being_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, really_start = threading.Event(), Child.start

    def start(child: Child) -> None:
        if child.name == "superlink" and child.n_starts == 1:
            raise FileNotFoundError(2, "No such file or directory", "python")
        really_start(child)
        if child.n_starts == 2:
            stop.set()

    def restart_if_ended(child: Child) -> bool:
        if child.n_starts > 1:
            return False
        child.end()  # it has died
        child.start()
        return True

    monkeypatch.setattr(Child, "start", start)
    monkeypatch.setattr(Child, "restart_if_ended", restart_if_ended)
    children = served_until(stop, federation(tmp_path))
    assert [child.n_starts for child in children] == [1, 2]
    assert not any(child.is_alive for child in children)


@pytest.mark.usefixtures("quick")
def test_a_run_that_nobody_conducts_any_more_gets_its_end_from_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.flower.interrupted_runs.CHECK_S", 0.01)
    monkeypatch.setattr("server.flower.interrupted_runs.GRACE_S", 0.05)
    joint, stop = federation(tmp_path), threading.Event()
    run = made_run(joint.run("r1").path, started())
    checked = InterruptedRuns.check

    def check(runs: InterruptedRuns) -> None:
        checked(runs)
        if "run-finished" in run.events_file.read_text("utf-8"):
            stop.set()

    monkeypatch.setattr(InterruptedRuns, "check", check)
    served_until(stop, joint)
    assert run_status(run, now=datetime.now(UTC)).status == "failed"


def test_a_server_whose_key_and_certificate_do_not_fit_is_not_started(tmp_path: Path) -> None:
    joint = federation(tmp_path)
    joint.certificate_key_file.write_bytes(joint.authority_key_file.read_bytes())
    with pytest.raises(ConfigError, match=r"server\.key do not belong together: was `lesionfed"):
        serve(joint, with_proxy=False, say=lambda text: None)


def test_a_key_that_fits_no_more_is_reported_once_and_only_when_it_lies_still(
    tmp_path: Path,
) -> None:
    joint = federation(tmp_path)
    said: list[str] = []
    server = _Server(joint, with_proxy=False, say=said.append, stopped=threading.Event())
    for _ in range(3):
        server._check_pair()
    assert said == []
    joint.certificate_key_file.write_bytes(joint.authority_key_file.read_bytes())
    server._check_pair()
    assert said == []  # a rotation may be under way
    for _ in range(3):
        server._check_pair()
    [warning] = said
    assert "do not belong together" in warning
    rotate_certificate(joint)
    for _ in range(3):
        server._check_pair()
    assert len(said) == 1


@contextmanager
def tls_server(folder: FederationFolder) -> Iterator[None]:
    """Shakes hands at the proxy's port with the federation's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder.certificate_file, folder.certificate_key_file)
    server = ThreadingHTTPServer(("127.0.0.1", folder.settings().port), BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(LIMIT_S)


def test_ready_is_said_only_where_the_promised_address_itself_answers(tmp_path: Path) -> None:
    """nginx may answer on loopback while the address that sites have leads elsewhere."""
    joint = federation(tmp_path, port=free_port())
    text = joint.settings_file.read_text().replace("lesionfed.example.org", "127.0.0.1")
    joint.settings_file.write_text(text)
    rotate_certificate(joint)
    said: list[str] = []
    server = _Server(joint, with_proxy=False, say=said.append, stopped=threading.Event())
    server._proxy = server._superlink  # stands for nginx, which is not asked here
    server._say_ready()
    where = f"127.0.0.1:{joint.settings().port}"
    assert said[0].startswith(f"warning: everything runs, but {where} does not answer")
    assert "TCP connection" in said[0]
    assert [line for line in said if line.startswith("ready")] == []
    said.clear()
    with tls_server(joint):
        server._say_ready()
    assert said == [f"ready: sites reach {where}; 0 of 2 sites have enrolled"]
