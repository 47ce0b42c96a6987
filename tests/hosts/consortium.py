"""A consortium on hosts of its own, set up and run by the commands that a hospital would type.

One coordinator behind nginx and four sites, a network namespace each. The tests stand in for
systemd: a `lesionfed serve` or `lesionfed-site run` that has ended is started again after as many
seconds as the units of deploy/ say.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import tomli_w

from client.site.site_folder import SiteFolder
from server.federation.federation_folder import FederationFolder
from server.run.run_folder import RunFolder
from server.status.run_status import RunStatus, run_status
from tests.federation.processes import Service, stop_all, wait_beside
from tests.hosts import relay
from tests.hosts.namespaces import Hosts
from tests.toy_sites import write_site
from tests.waiting import wait_until

PROGRAMS = Path(sysconfig.get_path("scripts"))
COORDINATOR = "coordinator"
GATEWAY = "gateway"
SITES = ("site-a", "site-b", "site-c", "site-d")
PORT = 8443
START_S = 300.0
"""How long all processes together may take until every site is connected; 20 s when idle."""
COMMAND_S = 300.0
SERVE_RESTART_S, SITE_RESTART_S = 5.0, 60.0
"""As RestartSec in the units of deploy/."""
MOST_RESUMES = 6
"""More than any test calls for: a run that fails so often will not complete."""

TOY = (
    "network.widths=[4, 4, 8, 8]",
    "network.first_stride=1",
    "sampling.patch_shape=[32, 32, 32]",
    "optimizer.steps=3",
    "federation.rounds=2",
    "compute.threads=1",
    "federation.wait_for_sites_s=100",
    "federation.round_deadline_s=300",
)
"""The default recipe with a network and a training of seconds, and the patience of a test."""

PROCESSES = {
    "superlink": (COORDINATOR, "/flower-superlink "),
    "superexec": (COORDINATOR, "-m server.flower.superexec_process "),
    "serverapp": (COORDINATOR, "/flwr-serverapp "),
    "serve": (COORDINATOR, "/lesionfed serve "),
    "nginx": (COORDINATOR, "nginx: master process "),
    "supernode": ("site", "-m client.flower.supernode_process "),
    "standby": ("site", "-m client.flower.standby "),
    "clientapp": ("site", "flwr-clientapp: "),
    "site-run": ("site", "/lesionfed-site run "),
}
"""Kind of process -> where it runs, and what its name and command line hold."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """How a run ended.

    status      completed, stopped or failed
    n_resumes   how often it had to be resumed by hand
    wall_s      from the look at it to its end
    """

    status: str
    reason: str | None
    n_resumes: int
    wall_s: float


class HostedConsortium:
    """The coordinator and its sites, enrolled and connected, alive inside a `with` block.

    folder    an empty folder: `federation`, one folder a site, `logs`
    sites     all that are enrolled
    running   those whose node runs from the start; None: all
    delay_s   each way between sites and coordinator, by a relay on a host between them
    """

    def __init__(
        self,
        folder: Path,
        *,
        sites: Sequence[str] = SITES,
        running: Sequence[str] | None = None,
        delay_s: float = 0.0,
    ) -> None:
        self._folder = folder
        self._sites = tuple(sites)
        self._running = self._sites if running is None else tuple(running)
        self._delay_s = delay_s
        self.hosts = Hosts([COORDINATOR, *self._sites, *([GATEWAY] if delay_s else [])])
        self.federation = FederationFolder(folder / "federation")
        self._logs = folder / "logs"
        self._wanted: dict[str, Callable[[], Service]] = {}
        self._services: dict[str, Service] = {}
        self._ended_at: dict[str, float] = {}
        self._all: list[Service] = []

    def __enter__(self) -> Self:
        self._logs.mkdir(parents=True)
        self.hosts.__enter__()
        try:
            self._enrol_all()
            self._start_all()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is not None:
                error.add_note(self.last_words())
        finally:
            try:
                stop_all(self._all)
            finally:
                self.hosts.__exit__(kind, error, trace)

    @property
    def address(self) -> str:
        """What sites connect to: the coordinator's own, or the relay's."""
        return self.hosts.address(GATEWAY if self._delay_s else COORDINATOR)

    def site(self, name: str) -> SiteFolder:
        """The files of one site."""
        return SiteFolder(self._folder / name)

    def run(self, name: str, *settings: str, toy: Sequence[str] = TOY) -> RunFolder:
        """A new run of the toy recipe with `settings` as for --set, handed to the server."""
        by_key = {setting.partition("=")[0]: setting for setting in (*toy, *settings)}
        options = [part for setting in by_key.values() for part in ("--set", setting)]
        self.lesionfed("run", "--recipe", "default", "--name", name, "--detach", *options)
        return self.federation.run(name)

    def status(self, name: str) -> RunStatus:
        """How the run stands."""
        return run_status(self.federation.run(name), now=datetime.now(UTC))

    def finish(self, name: str, *, timeout_s: float) -> Finished:
        """How the run ended, after it was resumed as often as it failed or was cut off.

        Dead services are started again meanwhile. TimeoutError where it takes too long.
        """
        started, n_resumes = time.monotonic(), 0
        n_begun, last_try = self._n_begun(name), started
        while True:
            self.tend()
            now = time.monotonic()
            found = self.status(name)
            if found.status == "completed" or n_resumes > MOST_RESUMES:
                wall_s = now - started
                return Finished(
                    status=found.status, reason=found.reason, n_resumes=n_resumes, wall_s=wall_s
                )
            begun = self._n_begun(name) > n_begun or n_resumes == 0
            ended = found.status in ("failed", "stopped", "interrupted")
            never_began = found.status == "not-started" or not begun
            if (ended and begun) or (never_began and now - last_try > 60):
                if self._resumed(name):
                    n_resumes, n_begun = n_resumes + 1, self._n_begun(name)
                last_try = now
            if now - started > timeout_s:
                raise TimeoutError(f"run {name} is {found.status} after {timeout_s:.0f} s: {found}")
            time.sleep(1.0)

    def await_that(self, holds: Callable[[], bool], *, what: str, timeout_s: float) -> float:
        """Seconds until `holds()`; dead services are started again meanwhile."""
        started = time.monotonic()

        def look() -> bool:
            if holds():
                return True
            self.tend()
            return False

        wait_until(look, what, limit_s=timeout_s, pause_s=0.2)
        return time.monotonic() - started

    def processes(self, kind: str, host: str) -> list[int]:
        """The processes of that kind on the host, the oldest first."""
        part = PROCESSES[kind][1]
        return [pid for pid, line in self.hosts.processes(host).items() if part in f"{line} "]

    def process(self, kind: str, host: str) -> int | None:
        """The oldest process of that kind on the host; None where there is none now."""
        return next(iter(self.processes(kind, host)), None)

    def send(self, kind: str, host: str, number: signal.Signals) -> int | None:
        """The process that got the signal; None where there was none."""
        pid = self.process(kind, host)
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        return pid

    def kill_coordinator(self) -> None:
        """Ends every process at the coordinator at once, and starts none of them again."""
        self._wanted.pop("serve", None)
        self._services.pop("serve", None)
        for pid in self.hosts.processes(COORDINATOR):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.await_that(
            lambda: not self.hosts.processes(COORDINATOR),
            what="the coordinator's end",
            timeout_s=120,
        )

    def start_coordinator(self) -> None:
        """`lesionfed serve` runs, and answers."""
        self._want("serve", self._new_serve)
        self._await_words("serve", "ready")

    def start_site(self, name: str) -> None:
        """`lesionfed-site run` runs."""
        self._want(name, lambda: self._new_site_run(name))

    def tend(self) -> None:
        """Starts again what has ended, as long after it was found so as the units say."""
        now = time.monotonic()
        for name, make in self._wanted.items():
            if self._services[name].exit_code() is None:
                continue
            delay_s = SERVE_RESTART_S if name == "serve" else SITE_RESTART_S
            if now - self._ended_at.setdefault(name, now) >= delay_s:
                del self._ended_at[name]
                self._services[name] = self._kept(make())

    def connected(self, site: str) -> bool:
        """Whether the site's node, as it runs now, has said that it is connected."""
        return "connected" in self._services[site].log.read_text(encoding="utf-8")

    def lesionfed(self, *arguments: str) -> str:
        """What `lesionfed ARGUMENTS --federation F` prints; RuntimeError when it fails."""
        done = self.try_lesionfed(*arguments)
        return _printed(("lesionfed", *arguments), done)

    def try_lesionfed(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """How `lesionfed ARGUMENTS --federation F` ended at the coordinator."""
        return self.call(
            COORDINATOR, ["lesionfed", *arguments, "--federation", str(self.federation.path)]
        )

    def lesionfed_site(self, site: str, *arguments: str) -> str:
        """What `lesionfed-site ARGUMENTS --folder D` prints; RuntimeError when it fails."""
        done = self.try_lesionfed_site(site, *arguments)
        return _printed(("lesionfed-site", *arguments), done)

    def try_lesionfed_site(
        self,
        site: str,
        *arguments: str,
        folder: SiteFolder | None = None,
        environment: Mapping[str, str] | None = None,
        timeout_s: float = COMMAND_S,
    ) -> subprocess.CompletedProcess[str]:
        """How `lesionfed-site ARGUMENTS --folder D` ended on the site's host."""
        path = (folder or self.site(site)).path
        command = ["lesionfed-site", *arguments, "--folder", str(path)]
        return self.call(site, command, environment=environment, timeout_s=timeout_s)

    def call(
        self,
        host: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        timeout_s: float = COMMAND_S,
    ) -> subprocess.CompletedProcess[str]:
        """How a program ended on a host; its own environment is added to."""
        return self.hosts.call_in(
            host,
            command,
            folder=self._folder,
            environment={**plain_environment(), **(environment or {})},
            timeout_s=timeout_s,
        )

    def last_words(self) -> str:
        """The end of every log, for a failure message."""
        logs = [*self._logs.glob("*.log"), *self.federation.logs.glob("*.log")]
        logs += [log for name in self._sites for log in self.site(name).logs.glob("*.log")]
        logs += self.federation.runs.glob("*/events.jsonl")
        logs += self.federation.proxy_file.parent.glob("*.log")
        parts = []
        for log in sorted(logs):
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-25:]
            parts.append("\n".join([f"--- {log.relative_to(self._folder)}", *lines]))
        return "\n".join(parts)

    def _enrol_all(self) -> None:
        table = {
            "name": "toy",
            "address": self.address,
            "port": PORT,
            "sites": [{"name": name} for name in self._sites],
        }
        settings = self._folder / "toy.toml"
        settings.write_text(tomli_w.dumps(table), encoding="utf-8")
        out = ["lesionfed", "provision", str(settings), "--out", str(self.federation.path)]
        _printed(out, self.call(COORDINATOR, out))
        for seed, name in enumerate(self._sites):
            write_site(self.site(name).path, name=name, seed=seed)
            self.enrol(name)

    def enrol(self, name: str) -> None:
        """The site has made its key, is a member, and has joined with its kit."""
        made = self._init(name)
        fingerprint = re.search(r"fingerprint: (SHA256:\S+)", made)
        if fingerprint is None:
            raise RuntimeError(f"lesionfed-site init prints no fingerprint:\n{made}")
        request = str(self.site(name).request_file)
        self.lesionfed("enrol", request, "--fingerprint", fingerprint[1])
        self.lesionfed_site(name, "join", str(self.federation.kits / f"{name}.zip"))

    def _init(self, name: str) -> str:
        return self.lesionfed_site(name, "init", name)

    def _start_all(self) -> None:
        if self._delay_s:
            self._all.append(self._new_relay())
        self.start_coordinator()
        for name in self._running:
            self.start_site(name)
        for name in self._running:
            self._await_words(name, "connected")

    def _await_words(self, name: str, words: str) -> None:
        """Waits for a service's first word that all is well; RuntimeError where it ends instead."""
        service = self._services[name]
        wait_beside(
            [service],
            lambda: words in service.log.read_text(encoding="utf-8"),
            f"{words!r} of {name}",
            limit_s=START_S,
        )

    def _new_serve(self) -> Service:
        command = [str(PROGRAMS / "lesionfed"), "serve", "--with-proxy"]
        return self._new(
            "serve", COORDINATOR, [*command, "--federation", str(self.federation.path)]
        )

    def _new_site_run(self, name: str) -> Service:
        command = [str(PROGRAMS / "lesionfed-site"), "run", "--folder", str(self.site(name).path)]
        return self._new(name, name, command)

    def _new_relay(self) -> Service:
        to = self.hosts.address(COORDINATOR)
        there = [relay.__file__, "0.0.0.0", str(PORT), to, str(PORT), str(self._delay_s)]  # noqa: S104 - in a namespace
        return self._new("relay", GATEWAY, [sys.executable, *there])

    def _new(self, name: str, host: str, command: Sequence[str]) -> Service:
        number = len(list(self._logs.glob(f"{name}.*.log")))
        return self.hosts.run_in(
            host,
            command,
            log=self._logs / f"{name}.{number}.log",
            folder=self._folder,
            environment=plain_environment(),
        )

    def _want(self, name: str, make: Callable[[], Service]) -> None:
        self._wanted[name] = make
        self._services[name] = self._kept(make())

    def _kept(self, service: Service) -> Service:
        self._all.append(service)
        return service

    def _n_begun(self, name: str) -> int:
        began = ("run-started", "run-resumed")
        return sum(event["event"] in began for event in events_of(self.federation.run(name)))

    def _resumed(self, name: str) -> bool:
        """Whether `lesionfed resume` was taken; it is refused while the server starts."""
        done = self.try_lesionfed("resume", name, "--detach")
        (self._logs / f"resume-{name}.log").write_text(done.stdout + done.stderr, "utf-8")
        return done.returncode == 0


def events_of(run: RunFolder) -> list[dict[str, Any]]:
    """All events of a run that are whole, in order; none before it begins."""
    if not run.events_file.exists():
        return []
    lines = run.events_file.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def plain_environment() -> dict[str, str]:
    """This process's environment, without a proxy of the machine's own."""
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    path = [str(PROGRAMS), kept.get("PATH", ""), "/usr/sbin", "/sbin"]
    return {**kept, "PATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


def _printed(command: Sequence[str], done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode != 0:
        raise RuntimeError(
            f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
    return done.stdout
