"""A site's way to a real SuperLink behind a real nginx, while its SuperNode runs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.membership.node_key import new_node_key
from common.preflight.bandwidth import bandwidth
from common.preflight.check import run_steps
from common.preflight.coordinator import Coordinator
from common.preflight.network import connection, tcp
from common.preflight.node_key import node_key_accepted
from server.federation.federation_folder import FederationSettings
from server.federation.proxy import nginx_configuration
from tests.federation.consortium import LoopbackConsortium
from tests.ports import free_port
from tests.toy_sites import write_site
from tests.waiting import wait_until

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin")


@contextmanager
def proxy(folder: Path, credentials: Path, *, superlink_port: int) -> Iterator[Coordinator]:
    """nginx as `lesionfed provision` sets it up, answering."""
    settings = FederationSettings.from_table(
        {
            "name": "toy",
            "address": "127.0.0.1",
            "port": free_port(),
            "superlink_port": superlink_port,
            "sites": [{"name": "north"}],
        },
        where="here",
    )
    (folder / "proxy").mkdir(parents=True)
    shutil.copytree(credentials, folder / "credentials")
    configuration = folder / "proxy" / "nginx.conf"
    configuration.write_text(f"daemon off;\n{nginx_configuration(settings)}")
    log = str(folder / "proxy" / "error.log")
    command = [str(NGINX), "-e", log, "-c", str(configuration), "-p", str(folder / "proxy")]
    coordinator = Coordinator(
        address=settings.address,
        port=settings.port,
        authority_file=folder / "credentials" / "ca.pem",
    )
    with subprocess.Popen(command) as nginx:
        try:
            wait_until(lambda: nginx.poll() is not None or tcp(coordinator).good, "nginx's answer")
            assert nginx.poll() is None, Path(log).read_text("utf-8")
            yield coordinator
        finally:
            nginx.terminate()


@pytest.mark.federation
@pytest.mark.skipif(NGINX is None, reason="no nginx: install Debian's nginx-light")
def test_every_step_passes_and_the_running_node_stays_online(tmp_path: Path) -> None:
    settings = write_site(tmp_path / "north", name="north", seed=0)
    with LoopbackConsortium(tmp_path / "run", {"north": settings}) as consortium:
        port = int(consortium._address.split(":")[1])
        credentials = tmp_path / "run" / "coordinator"
        (tmp_path / "credentials").mkdir()
        for name in ("ca.pem", "server.pem", "server.key"):
            shutil.copy(credentials / name, tmp_path / "credentials" / name)
        with proxy(
            tmp_path / "proxied", tmp_path / "credentials", superlink_port=port
        ) as coordinator:
            way = list(run_steps(connection(coordinator)))
            known = node_key_accepted(coordinator, consortium._keys["north"].private)
            new_node_key(tmp_path / "stranger.key")
            stranger = node_key_accepted(coordinator, tmp_path / "stranger.key")
            line = bandwidth(coordinator, update_bytes=1_000_000)
        (node,) = consortium._flwr("supernode", "ls", "loopback")["nodes"]
    assert [check for check in way if check.status == "problem"] == []
    assert way[-1].name == "control closed"
    assert way[-1].status == "passed"
    assert known.status == "passed", known
    assert stranger.found.startswith("the server does not know this key")
    assert line.status == "passed", line
    assert node["status"] == "online"
