"""Several hosts on one machine: a network namespace each, with an address of its own, on a bridge.

Linux only, as root: `why_not()` says what is missing. The bridge lies in a namespace too, so that
nothing of the machine's own network is touched.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.federation.processes import Service
from tests.waiting import is_running

PREFIX = "lesionfed"
NAMES = re.compile(rf"{PREFIX}-(?P<pid>\d+)-[0-9a-f]+-[a-z0-9-]+")
"""Of the namespaces that this module makes: the process id tells whether their test still runs."""
PROGRAMS = ("ip", "tc", "nft", "nginx")
COMMAND_S = 60.0
GONE_S = 60.0
"""How long killed processes may take to be cleared away."""


@functools.cache
def why_not() -> str | None:
    """Why there can be no hosts on this machine, in a few words; None where there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    missing = [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    probe = f"{PREFIX}-{os.getpid()}-{secrets.token_hex(2)}-probe"
    try:
        _run("ip", "netns", "add", probe)
    except RuntimeError as error:
        return f"no network namespaces here: {error}"
    _run("ip", "netns", "delete", probe)
    return None


class Hosts:
    """Hosts on one network, alive inside a `with` block; what runs in them ends with it.

    names   of the hosts, lower case; the first has the address 10.77.N.1, the next 10.77.N.2

    Namespaces that a killed test left behind are removed first.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = list(names)
        self._token = f"{PREFIX}-{os.getpid()}-{secrets.token_hex(2)}"
        self._network = f"10.77.{secrets.randbelow(254) + 1}"

    def __enter__(self) -> Self:
        remove_leftovers()
        try:
            self._build()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._remove()

    def address(self, host: str) -> str:
        """The host's IPv4 address."""
        return f"{self._network}.{1 + self._names.index(host)}"

    def run_in(
        self,
        host: str,
        command: Sequence[str],
        *,
        log: Path,
        folder: Path,
        environment: Mapping[str, str],
    ) -> Service:
        """The program, now running on the host."""
        whole = [*self._exec(host), *command]
        return Service(whole, log=log, folder=folder, environment=environment)

    def call_in(
        self,
        host: str,
        command: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        timeout_s: float,
    ) -> subprocess.CompletedProcess[str]:
        """How the program ended on the host; subprocess.TimeoutExpired when it has not in time."""
        return subprocess.run(
            [*self._exec(host), *command],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout_s,
            check=False,
        )

    def processes(self, host: str) -> dict[int, str]:
        """Process id -> `name: command line` of all that runs on the host, the oldest first."""
        found = {pid: _command_line(pid) for pid in _pids_in(self._namespace(host))}
        living = {pid: line for pid, line in found.items() if line}
        return dict(sorted(living.items(), key=lambda item: (_started(item[0]), item[0])))

    def cut(self, host: str) -> None:
        """Pulls the host's cable: nothing comes or goes, and no process is notified."""
        _run("ip", "-n", self._switch, "link", "set", self._port(host), "down")

    def restore(self, host: str) -> None:
        """Puts the host's cable back."""
        _run("ip", "-n", self._switch, "link", "set", self._port(host), "up")

    def slow_down(self, host: str, *, rate: str) -> None:
        """Limits the host's link in each direction; `rate` as tc has it, such as 10mbit."""
        shape = ("root", "tbf", "rate", rate, "burst", "32kb", "latency", "400ms")
        for where, device in ((self._namespace(host), "eth0"), (self._switch, self._port(host))):
            _run("tc", "-n", where, "qdisc", "replace", "dev", device, *shape)

    def lose(self, host: str, *, percent: int) -> None:
        """Drops so many of the packets that reach the host, at random."""
        if not 0 < percent < 100:
            raise ValueError(f"want 1 to 99 percent, got {percent}")
        rules = (
            "table inet loss { chain input { type filter hook input priority 0; "
            f'iifname "eth0" numgen random mod 100 < {percent} drop; }}; }}'
        )
        _run(*self._exec(host), "nft", rules)

    def _build(self) -> None:
        _run("ip", "netns", "add", self._switch)
        _run("ip", "-n", self._switch, "link", "add", "bridge", "type", "bridge")
        _run("ip", "-n", self._switch, "link", "set", "bridge", "up")
        for host in self._names:
            self._add(host)

    def _add(self, host: str) -> None:
        namespace, port = self._namespace(host), self._port(host)
        _run("ip", "netns", "add", namespace)
        peer = ("type", "veth", "peer", "name", "eth0", "netns", namespace)
        _run("ip", "-n", self._switch, "link", "add", port, *peer)
        _run("ip", "-n", self._switch, "link", "set", port, "master", "bridge", "up")
        _run("ip", "-n", namespace, "address", "add", f"{self.address(host)}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _run("ip", "-n", namespace, "link", "set", device, "up")

    def _remove(self) -> None:
        remove_namespaces(sorted(name for name in _namespaces() if name.startswith(self._token)))

    def _exec(self, host: str) -> list[str]:
        ip = shutil.which("ip", path=_path()) or "ip"
        return [ip, "netns", "exec", self._namespace(host)]

    def _namespace(self, host: str) -> str:
        if host not in self._names:
            raise ValueError(f"no host {host!r}; there are {', '.join(self._names)}")
        return f"{self._token}-{host}"

    def _port(self, host: str) -> str:
        return f"port{self._names.index(host)}"

    @property
    def _switch(self) -> str:
        return f"{self._token}-switch"


def remove_leftovers() -> None:
    """Removes what tests left behind that were killed before they could."""
    owners = {name: NAMES.fullmatch(name) for name in _namespaces()}
    dead = [n for n, match in owners.items() if match and not is_running(int(match["pid"]))]
    remove_namespaces(dead)


def remove_namespaces(names: Sequence[str]) -> None:
    """Ends all that runs in the namespaces, and removes them."""
    end = time.monotonic() + GONE_S
    while living := [pid for name in names for pid in _pids_in(name)]:
        for pid in living:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > end:
            break  # what a namespace without a name still holds goes with its last process
        time.sleep(0.1)
    for name in names:
        _run("ip", "netns", "delete", name)


def _namespaces() -> list[str]:
    return [line.split()[0] for line in _run("ip", "netns", "list").splitlines() if line.strip()]


def _pids_in(namespace: str) -> list[int]:
    return [int(word) for word in _run("ip", "netns", "pids", namespace).split()]


def _command_line(pid: int) -> str:
    """Its name, a colon, and its command line; empty for one that has ended."""
    try:
        name, content = (Path(f"/proc/{pid}/{file}").read_bytes() for file in ("comm", "cmdline"))
    except OSError:
        return ""
    line = content.replace(b"\0", b" ").decode("utf-8", errors="replace").strip()
    return f"{name.decode('utf-8', errors='replace').strip()}: {line}" if line else ""


def _started(pid: int) -> int:
    """When the process began, in the kernel's ticks; 0 for one that has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[19])


def _run(*command: str) -> str:
    """What the command prints; RuntimeError with its words when it refuses."""
    done = subprocess.run(
        command,
        env={**os.environ, "PATH": _path()},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=COMMAND_S,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr}")
    return done.stdout


def _path() -> str:
    """PATH, with the folders of an administrator's programs."""
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
