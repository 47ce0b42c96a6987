"""A whole federation on loopback: real Flower processes, TLS, registered node keys."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sysconfig
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import tomli_w

from tests.federation.credentials import NodeKey, write_node_key, write_server_credentials
from tests.federation.processes import Service, stop_all, wait_beside
from tests.ports import free_port

PROGRAMS = Path(sysconfig.get_path("scripts"))
BUNDLE = Path(__file__).parents[2] / "server" / "bundle"
CONNECTION = "loopback"
START_S = 300.0
"""How long the processes together may take until every site is online; 15 s on an idle machine."""
COMMAND_S = 300.0
"""How long one call of `flwr` may take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOutcome:
    """How Flower says a run ended.

    status    such as "finished:completed" or "finished:failed"
    details   Flower's reason, "N/A" after success
    """

    status: str
    details: str


class LoopbackConsortium:
    """SuperLink, SuperExec and one SuperNode a site, alive inside a `with` block.

    folder   an empty folder; takes keys, database, logs and one Flower home a site
    sites    name -> the site's settings file, handed to its SuperNode as `site`
    python_paths   name -> a folder of modules that this site's programs find before their own

    An error that leaves the block carries as a note what each run's ServerApp wrote, which Flower
    keeps in the SuperLink only, and the end of every process's log.
    """

    def __init__(
        self,
        folder: Path,
        sites: Mapping[str, Path],
        *,
        python_paths: Mapping[str, Path] | None = None,
    ) -> None:
        self._folder = folder
        self._python_paths = dict(python_paths or {})
        self._sites = dict(sites)
        self._services: list[Service] = []
        self._runs: list[str] = []
        self._port = free_port()
        self._coordinator = _made(folder / "coordinator")
        self._logs = _made(folder / "logs")
        self._credentials = write_server_credentials(self._coordinator)
        self._keys = {name: write_node_key(_made(self._site_folder(name))) for name in sites}

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException as error:
            self._stop(error)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop(error)

    def submit(self, run_config: Mapping[str, str]) -> str:
        """Flower's id of a new run of the thin bundle; values override the bundle's settings."""
        overrides = self._coordinator / "run-config.toml"
        overrides.write_text(tomli_w.dumps(run_config), encoding="utf-8")
        answer = self._flwr("run", str(BUNDLE), CONNECTION, "--run-config", str(overrides))
        self._runs.append(str(answer["run-id"]))
        return self._runs[-1]

    def wait(self, run_id: str, *, timeout_s: float) -> RunOutcome:
        """How the run ended; TimeoutError when it has not within `timeout_s` seconds."""
        outcomes: list[RunOutcome] = []

        def ended() -> bool:
            row = self._flwr("ls", CONNECTION, "--run-id", run_id)["runs"][0]
            outcomes.append(RunOutcome(status=row["status"], details=row["status-details"]))
            return outcomes[-1].status.startswith("finished")

        self._await(ended, what=f"end of run {run_id}", timeout_s=timeout_s, pause_s=2.0)
        return outcomes[-1]

    def public_key(self, site: str) -> str:
        """The site's registered key as in its .pub file, `ecdsa-sha2-nistp384 ...`."""
        return self._keys[site].public.read_text(encoding="ascii")

    def apps_folder(self, site: str) -> Path:
        """Where the site's Flower unpacks the bundles it is sent."""
        return self._site_folder(site) / "flwr-home" / "apps"

    def _start(self) -> None:
        started = time.monotonic()
        self._start_superlink()
        self._await(self._superlink_answers, what="SuperLink", timeout_s=START_S)
        self._start_superexec()
        self._write_connection()
        for site, key in self._keys.items():
            self._flwr("supernode", "register", str(key.public), CONNECTION, "--name", site)
            self._start_supernode(site, key)
        left_s = START_S - (time.monotonic() - started)
        self._await(self._all_sites_online, what="all sites online", timeout_s=left_s, pause_s=0.5)

    def _start_superlink(self) -> None:
        self._start_service(
            "superlink",
            self._coordinator,
            "flower-superlink",
            options={
                "--host": "127.0.0.1",
                "--port": self._port,
                "--ssl-ca-certfile": self._credentials.authority,
                "--ssl-certfile": self._credentials.certificate,
                "--ssl-keyfile": self._credentials.key,
                "--superexec-auth-secret-file": self._credentials.secret,
                "--isolation": "process",
                "--database": self._coordinator / "state.db",
            },
            flags=["--enable-supernode-auth", "--disable-runtime-dependency-installation"],
        )

    def _start_superexec(self) -> None:
        self._start_service(
            "superexec",
            self._coordinator,
            "flower-superexec",
            options={
                "--runtime-api-address": self._address,
                "--root-certificates": self._credentials.authority,
                "--superexec-auth-secret-file": self._credentials.secret,
            },
        )

    def _start_supernode(self, site: str, key: NodeKey) -> None:
        self._start_service(
            site,
            self._site_folder(site),
            "flower-supernode",
            options={
                "--superlink": self._address,
                "--root-certificates": self._credentials.authority,
                "--auth-supernode-private-key": key.private,
                "--port": free_port(),
                "--node-config": f"site={json.dumps(str(self._sites[site]))} inline=true",
            },
        )

    def _start_service(
        self,
        name: str,
        folder: Path,
        program: str,
        *,
        options: Mapping[str, object],
        flags: Sequence[str] = (),
    ) -> None:
        pairs = [str(part) for option in options.items() for part in option]
        service = Service(
            [str(PROGRAMS / program), *pairs, *flags],
            log=self._logs / f"{name}.log",
            folder=folder,
            environment=_environment(folder / "flwr-home") | self._python_path(name),
        )
        self._services.append(service)

    def _python_path(self, name: str) -> dict[str, str]:
        path = self._python_paths.get(name)
        return {} if path is None else {"PYTHONPATH": str(path)}

    def _stop(self, error: BaseException | None) -> None:
        try:
            if error is not None:
                serverapps = [self._serverapp_log(run) for run in self._runs]
                tails = [service.log_tail() for service in self._services]
                error.add_note("\n".join([*serverapps, *tails]))
        finally:
            stop_all(self._services)

    def _serverapp_log(self, run_id: str) -> str:
        try:
            shown = self._command("log", run_id, CONNECTION, "--show")
        except subprocess.TimeoutExpired:
            return f"--- ServerApp of run {run_id}: the SuperLink does not tell"
        return f"--- ServerApp of run {run_id}\n{shown.stdout}{shown.stderr}"

    def _write_connection(self) -> None:
        connection = {
            "address": self._address,
            "root-certificates": str(self._credentials.authority),
        }
        config = _made(self._coordinator / "flwr-home") / "config.toml"
        table = {"superlink": {"default": CONNECTION, CONNECTION: connection}}
        config.write_text(tomli_w.dumps(table), encoding="utf-8")

    def _superlink_answers(self) -> bool:
        trust = ssl.create_default_context(cafile=self._credentials.authority)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
        )
        try:
            with opener.open(f"https://{self._address}/health", timeout=5):
                return True
        except OSError:
            return False

    def _all_sites_online(self) -> bool:
        nodes = self._flwr("supernode", "ls", CONNECTION)["nodes"]
        n_online = len([node for node in nodes if node["status"] == "online"])
        return n_online == len(self._sites)

    def _flwr(self, *arguments: str) -> dict[str, Any]:
        """What `flwr ... --format json` answers; RuntimeError with its text when it refuses."""
        done = self._command(*arguments, "--format", "json")
        answer: dict[str, Any] = json.loads(done.stdout) if done.stdout.startswith("{") else {}
        if not answer.get("success"):
            raise RuntimeError(
                f"flwr {' '.join(arguments)}: exit code {done.returncode}\n"
                f"{done.stdout}\n{done.stderr}"
            )
        return answer

    def _command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(PROGRAMS / "flwr"), *arguments],
            env=_environment(self._coordinator / "flwr-home"),
            cwd=self._coordinator,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )

    def _await(
        self, holds: Callable[[], bool], *, what: str, timeout_s: float, pause_s: float = 0.1
    ) -> None:
        """Return once `holds()`; fail as soon as a process has died or the time is up."""
        wait_beside(self._services, holds, what, limit_s=timeout_s, pause_s=pause_s)

    def _site_folder(self, site: str) -> Path:
        return self._folder / "sites" / site

    @property
    def _address(self) -> str:
        return f"127.0.0.1:{self._port}"


def _environment(flwr_home: Path) -> dict[str, str]:
    """This process's environment, with Flower quiet, at home in `flwr_home` and on loopback."""
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(PROGRAMS), os.environ.get("PATH", "")]),
        "FLWR_HOME": str(flwr_home),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.1",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
