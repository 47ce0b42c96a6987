from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.federation.processes import Service, stop_all, wait_beside
from tests.hosts import namespaces, relay
from tests.hosts.namespaces import Hosts, why_not
from tests.waiting import LIMIT_S, wait_until

pytestmark = [
    pytest.mark.federation,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]

PORT = 8000
FAST_S = 10.0
"""Without anything in its way an echo takes milliseconds, and not so long on any machine."""
ECHO = f"""
import socket
with socket.create_server(("0.0.0.0", {PORT})) as server:
    print("ready", flush=True)
    while True:
        connection, _ = server.accept()
        with connection:
            while chunk := connection.recv(65536):
                connection.sendall(chunk)
"""
ASK = """
import socket, sys, time
address, (port, n_bytes, n_times, patience_s) = sys.argv[1], map(int, sys.argv[2:])
with socket.create_connection((address, port), timeout=patience_s) as connection:
    begun = time.monotonic()
    for _ in range(n_times):
        connection.sendall(b"x" * n_bytes)
        left = n_bytes
        while left:
            left -= len(connection.recv(65536))
print(time.monotonic() - begun)
"""


@contextmanager
def two_hosts(folder: Path) -> Iterator[Hosts]:
    """Hosts `near` and `far`; `far` echoes."""
    with Hosts(["near", "far"]) as hosts, running(hosts, "far", [ECHO], folder):
        yield hosts


@contextmanager
def running(hosts: Hosts, host: str, arguments: list[str], folder: Path) -> Iterator[Service]:
    """A Python program that has said that it is ready."""
    service = hosts.run_in(
        host,
        [sys.executable, *(["-c", *arguments] if len(arguments) == 1 else arguments)],
        log=folder / f"{host}-{len(arguments)}.log",
        folder=folder,
        environment=os.environ,
    )
    try:
        wait_beside([service], lambda: "ready" in service.log_tail(), f"the program on {host}")
        yield service
    finally:
        stop_all([service])


def echo_s(
    hosts: Hosts,
    folder: Path,
    *,
    to: str,
    n_bytes: int,
    n_times: int = 1,
    port: int = PORT,
    patience_s: int = 3,
) -> float:
    """Seconds until `n_bytes` from `near` have come back, so many times.

    RuntimeError where the connection, or a part of an answer, does not come within `patience_s`.
    """
    done = hosts.call_in(
        "near",
        [sys.executable, "-c", ASK, to, str(port), *map(str, (n_bytes, n_times, patience_s))],
        folder=folder,
        environment=os.environ,
        timeout_s=2 * LIMIT_S,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return float(done.stdout)


def reaches(hosts: Hosts, folder: Path, host: str) -> bool:
    """Whether an echo comes back from the host."""
    try:
        echo_s(hosts, folder, to=hosts.address(host), n_bytes=1)
    except RuntimeError:
        return False
    return True


def test_hosts_reach_each_other_and_this_machines_network_stays_as_it_is(tmp_path: Path) -> None:
    before = os.listdir("/sys/class/net")
    with two_hosts(tmp_path) as hosts:
        assert hosts.address("near") != hosts.address("far")
        assert echo_s(hosts, tmp_path, to=hosts.address("far"), n_bytes=1000) < FAST_S
        assert os.listdir("/sys/class/net") == before


def test_a_cut_cable_carries_nothing_until_it_is_restored(tmp_path: Path) -> None:
    with two_hosts(tmp_path) as hosts:
        hosts.cut("near")
        with pytest.raises(RuntimeError, match=r"timed out|No route to host|unreachable"):
            echo_s(hosts, tmp_path, to=hosts.address("far"), n_bytes=1)
        hosts.restore("near")
        wait_until(lambda: reaches(hosts, tmp_path, "far"), "the way to be found again")


def test_a_slow_link_takes_the_time_that_its_rate_says(tmp_path: Path) -> None:
    with two_hosts(tmp_path) as hosts:
        hosts.slow_down("near", rate="10mbit")
        # 1.25 MB are 1 s at 10 Mbit/s; what has arrived is echoed while the rest still comes
        took_s = echo_s(hosts, tmp_path, to=hosts.address("far"), n_bytes=1_250_000)
    assert 0.9 < took_s < 1 + FAST_S


def test_a_lossy_link_drops_about_what_was_asked(tmp_path: Path) -> None:
    with two_hosts(tmp_path) as hosts:
        hosts.lose("near", percent=50)
        # 20 answers: without a loss under 0.1 s, each that is lost costs a repetition of 0.2 s, and
        # of twice as long each further time
        far = hosts.address("far")
        took_s = echo_s(hosts, tmp_path, to=far, n_bytes=1, n_times=20, patience_s=100)
    assert took_s > 0.5


def test_the_relay_delays_both_ways_and_changes_nothing(tmp_path: Path) -> None:
    with two_hosts(tmp_path) as hosts:
        far = hosts.address("far")
        arguments = [relay.__file__, "127.0.0.1", "8001", far, str(PORT), "0.1"]
        with running(hosts, "near", arguments, tmp_path):
            took_s = echo_s(hosts, tmp_path, to="127.0.0.1", n_bytes=300_000, n_times=3, port=8001)
    assert 3 * 2 * 0.1 < took_s < 3 * 2 * 0.1 + FAST_S  # three times there and back


def test_leaving_the_block_ends_what_ran_and_removes_the_hosts(tmp_path: Path) -> None:
    before = namespaces_now()
    with suppress(ZeroDivisionError), Hosts(["alone"]) as hosts:
        command, log = ["sleep", "600"], tmp_path / "sleep.log"
        service = hosts.run_in("alone", command, log=log, folder=tmp_path, environment=os.environ)
        assert namespaces_now() - before
        raise ZeroDivisionError
    assert namespaces_now() <= before
    assert service.group_ends_within(LIMIT_S)


def test_what_a_dead_test_left_behind_is_removed_and_nobody_elses(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)  # it is there still, and has ended
    left, other = f"lesionfed-{ended.pid}-abcd-site", f"lesionfed-{os.getpid()}-abcd-site"
    try:
        for name in (left, other):
            subprocess.run(["ip", "netns", "add", name], check=True)
        namespaces.remove_leftovers()
        now = namespaces_now()
        assert left not in now
        assert other in now
    finally:
        ended.wait()
        namespaces.remove_namespaces([n for n in (left, other) if n in namespaces_now()])


def namespaces_now() -> set[str]:
    done = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    return {line.split()[0] for line in done.stdout.splitlines()}
