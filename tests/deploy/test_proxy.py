"""nginx takes what `lesionfed provision` writes, started as the unit and the container start it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped] # it ships no types

from server.federation.provision import provision

DEPLOY = Path(__file__).parents[2] / "deploy"
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")
needs_nginx = pytest.mark.skipif(NGINX is None, reason="no nginx on this machine")
HOME = "/srv/lesionfed/federation/proxy"


def start_line() -> list[str]:
    """The unit's own ExecStart, its program left out."""
    unit = (DEPLOY / "systemd" / "lesionfed-proxy.service").read_text("utf-8")
    [line] = re.findall(r"(?m)^ExecStart=/usr/sbin/nginx (.+)$", unit)
    return [part.strip('"') for part in re.findall(r'"[^"]+"|\S+', line)]


def container_line() -> list[str]:
    table = yaml.safe_load((DEPLOY / "coordinator" / "compose.yaml").read_text("utf-8"))
    proxy = table["services"]["proxy"]
    return [*proxy["entrypoint"][1:], *proxy["command"]]


@needs_nginx
@pytest.mark.parametrize("line", [start_line(), container_line()], ids=["systemd", "compose"])
def test_nginx_takes_the_provisioned_configuration(line: list[str], tmp_path: Path) -> None:
    settings = tmp_path / "federation.toml"
    settings.write_text(
        'name = "ms"\naddress = "lesionfed.example.org"\n[[sites]]\nname = "lyon"\n', "utf-8"
    )
    folder = provision(settings, tmp_path / "federation")
    proxy = str(folder.proxy_file.parent)
    arguments = [part.replace(HOME, proxy) for part in line]
    assert proxy in arguments
    done = subprocess.run(
        [str(NGINX), *arguments, "-t"], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "test is successful" in done.stderr
    assert "[warn]" not in done.stderr or "user" in done.stderr


@needs_nginx
def test_nginx_takes_the_site_s_door(tmp_path: Path) -> None:
    table = yaml.safe_load((DEPLOY / "site" / "compose.yaml").read_text("utf-8"))
    content = table["configs"]["door"]["content"]
    filled = content.replace("${COORDINATOR_NAME:?}", "127.0.0.1")
    filled = filled.replace("${COORDINATOR_PORT:?}", "18443")
    filled = filled.replace("/tmp/nginx.pid", str(tmp_path / "nginx.pid"))  # noqa: S108 - replaced
    assert "${" not in filled
    file = tmp_path / "door.conf"
    file.write_text(filled, "utf-8")
    done = subprocess.run(
        [str(NGINX), "-e", "stderr", "-c", str(file), "-t"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if 'unknown directive "stream"' in done.stderr:
        pytest.skip("this nginx has no stream module; the official image has it built in")
    assert done.returncode == 0, done.stderr
