"""A federation on loopback that `lesionfed serve` itself keeps alive, with real SuperNodes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import tomli_w

from common.membership.node_key import new_node_key
from common.programs import PROGRAMS
from server.federation.federation_folder import FederationFolder
from server.federation.members import Member, Members, write_members
from server.federation.provision import provision
from server.flower.programs import flower_environment
from tests.federation.processes import Service, stop_all, wait_beside
from tests.ports import free_port
from tests.toy_sites import write_site

ROOT = Path(__file__).parents[2]
READY_S = 300.0
COMMAND_S = 600.0


LESIONFED = (sys.executable, "-c", "from server.cli import main; raise SystemExit(main())")


class ServedFederation:
    """`lesionfed serve` and one SuperNode a site, each straight at the SuperLink's port.

    base    an empty folder
    sites   names of the toy hospitals that take part
    """

    SERVE: tuple[str, ...] = (*LESIONFED, "serve")

    def __init__(self, base: Path, sites: Sequence[str]) -> None:
        self.base = base
        self.sites = tuple(sites)
        self.folder = provisioned(base, sites)
        self.services: list[Service] = []
        self._settings = {
            name: write_site(base / "sites" / name, name=name, seed=seed)
            for seed, name in enumerate(sites)
        }
        keys = {name: new_node_key(base / "sites" / name / "site.key") for name in sites}
        members = [
            Member(site=name, public_key=key, enrolled="2026-01-01T00:00:00+00:00")
            for name, key in keys.items()
        ]
        write_members(self.folder.members_file, Members(members=tuple(members)))

    def serve(self) -> Service:
        """The server, once it says that it is ready."""
        service = self._service(
            f"serve-{len(self.services)}",
            [*self.SERVE, "--federation", str(self.folder.path)],
            home=self.base / "no-home",
        )
        wait_beside(
            [service], lambda: "ready" in service.log.read_text(), "the server", limit_s=READY_S
        )
        return service

    def start_sites(self) -> None:
        """One SuperNode a site, on its own Flower home."""
        for name, settings in self._settings.items():
            self._service(
                name,
                [
                    str(PROGRAMS / "flower-supernode"),
                    "--superlink",
                    f"127.0.0.1:{self.folder.settings().superlink_port}",
                    "--root-certificates",
                    str(self.folder.authority_file),
                    "--auth-supernode-private-key",
                    str(settings.parent / "site.key"),
                    "--port",
                    str(free_port()),
                    "--node-config",
                    f"site={json.dumps(str(settings))} inline=true",  # it has not joined: no kit
                ],
                home=settings.parent / "flwr-home",
            )

    def lesionfed(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What one command says and how it ends."""
        return subprocess.run(
            [*LESIONFED, *arguments, "--federation", str(self.folder.path)],
            env=_environment(),
            cwd=self.base,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )

    def _service(self, name: str, command: Sequence[str], *, home: Path) -> Service:
        logs = self.base / "logs"
        logs.mkdir(exist_ok=True)
        environment = flower_environment(self.folder, _environment()) | {"FLWR_HOME": str(home)}
        service = Service(
            command, log=logs / f"{name}.log", folder=self.base, environment=environment
        )
        self.services.append(service)
        return service


@contextmanager
def served(
    base: Path, sites: Sequence[str], *, made: type[ServedFederation] = ServedFederation
) -> Iterator[ServedFederation]:
    """The federation, ready, with all its sites started; every process is ended afterwards."""
    federation = made(base, sites)
    try:
        federation.serve()
        federation.start_sites()
        yield federation
    except BaseException as error:
        for service in federation.services:
            error.add_note(service.log_tail())
        for log in sorted(federation.folder.logs.glob("*.log")):
            error.add_note(f"--- {log.name}\n" + "\n".join(log.read_text().splitlines()[-30:]))
        raise
    finally:
        stop_all(federation.services)


def provisioned(base: Path, sites: Sequence[str]) -> FederationFolder:
    """A federation of toy hospitals on ports that were free a moment ago."""
    table = {
        "name": "toys",
        "address": "127.0.0.1",
        "port": free_port(),
        "superlink_port": free_port(),
        "health_port": free_port(),
        "sites": [{"name": name} for name in sites],
    }
    settings = base / "consortium.toml"
    settings.write_text(tomli_w.dumps(table), encoding="utf-8")
    return provision(settings, base / "federation")


def _environment() -> dict[str, str]:
    """This process's own, with the packages under test first."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}
