"""The compose files promise what a hospital's security officer asks for first."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped] # it ships no types

DEPLOY = Path(__file__).parents[2] / "deploy"
ROLES = ("coordinator", "site")
NGINX = ("proxy", "door")


def compose(role: str, name: str = "compose.yaml") -> dict[str, Any]:
    table: dict[str, Any] = yaml.safe_load((DEPLOY / role / name).read_text("utf-8"))
    return table


def services() -> list[Any]:
    return [
        pytest.param(service, id=f"{role}: {name}")
        for role in ROLES
        for name, service in compose(role)["services"].items()
    ]


@pytest.mark.parametrize("service", services())
def test_no_service_runs_as_root_writes_to_its_image_or_gains_rights(
    service: dict[str, Any],
) -> None:
    assert service["user"] == "10001:10001"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert "cap_add" not in service


@pytest.mark.parametrize("service", services())
def test_every_service_comes_back_and_leaves_no_core_file(service: dict[str, Any]) -> None:
    assert service["restart"] == "always"
    assert service["ulimits"] == {"core": 0}


@pytest.mark.parametrize("service", services())
def test_nothing_of_docker_or_of_the_host_is_mounted(service: dict[str, Any]) -> None:
    for volume in service.get("volumes", []):
        assert volume["source"].startswith("${LESIONFED_")
        assert "docker.sock" not in volume["source"]
    assert {"pid", "ipc", "devices", "volumes_from"}.isdisjoint(service)
    assert service.get("network_mode") != "host"


def test_a_site_publishes_no_port() -> None:
    assert [name for name, s in compose("site")["services"].items() if "ports" in s] == []


def test_a_site_s_images_are_mounted_read_only_and_nothing_else_of_its_data_is() -> None:
    volumes = compose("site")["services"]["site"]["volumes"]
    assert [(v["target"], v.get("read_only", False)) for v in volumes] == [
        ("/srv/lesionfed", False),
        ("/data", True),
    ]


def test_a_site_s_node_has_no_way_out_but_the_door() -> None:
    table = compose("site")
    node, door = table["services"]["site"], table["services"]["door"]
    assert list(node["networks"]) == ["inside"]
    assert table["networks"]["inside"]["internal"] is True
    assert set(door["networks"]) == {"inside", "outside"}
    door_at = door["networks"]["inside"]["ipv4_address"]
    assert node["extra_hosts"] == [f"${{COORDINATOR_NAME:?}}:{door_at}"]
    assert "volumes" not in door, "it sees nothing of the site"


def test_the_door_leads_to_the_coordinator_alone() -> None:
    content = compose("site")["configs"]["door"]["content"]
    leads_to = [line.split() for line in content.splitlines() if "_pass" in line]
    assert leads_to == [["proxy_pass", "${COORDINATOR_NAME:?}:${COORDINATOR_PORT:?};"]]
    assert "http" not in content.replace("proxy_", "")


def test_the_coordinator_publishes_the_proxy_s_port_alone() -> None:
    published = [s["ports"] for s in compose("coordinator")["services"].values() if "ports" in s]
    assert published == [["${LESIONFED_PORT:?}:${LESIONFED_PORT:?}"]]


def test_superlink_and_proxy_meet_on_one_loopback() -> None:
    table = compose("coordinator")["services"]
    assert table["coordinator"]["network_mode"] == "service:network"
    assert table["proxy"]["network_mode"] == "service:network"
    assert table["network"]["command"] == ["sleep", "infinity"]


def test_the_proxy_sees_three_files_of_the_credentials_and_not_the_authority_s_key() -> None:
    volumes = compose("coordinator")["services"]["proxy"]["volumes"]
    seen = {v["target"].rpartition("/federation/")[2]: v.get("read_only", False) for v in volumes}
    assert seen == {
        "proxy": False,
        "credentials/server.pem": True,
        "credentials/server.key": True,
        "credentials/ca.pem": True,
    }


def test_held_out_images_are_mounted_read_only() -> None:
    volumes = compose("coordinator")["services"]["coordinator"]["volumes"]
    assert {v["target"]: v.get("read_only", False) for v in volumes}["/held-out"] is True


def test_the_node_serves_its_health_where_the_image_asks_for_it() -> None:
    command = compose("site")["services"]["site"]["command"]
    port = command[command.index("--health-port") + 1]
    assert f'"127.0.0.1:{port}"' in (DEPLOY / "Dockerfile").read_text("utf-8")


@pytest.mark.parametrize("role", ROLES)
def test_every_container_is_asked_whether_it_is_well(role: str) -> None:
    for name, service in compose(role)["services"].items():
        if name in NGINX:
            assert service["healthcheck"]["test"][:2] == ["CMD", "nc"]
        elif name == "network":
            assert service["healthcheck"] == {"disable": True}
        else:
            assert "healthcheck" not in service, "the image's own"


@pytest.mark.parametrize("role", ROLES)
def test_the_example_names_every_variable_and_no_other(role: str) -> None:
    text = (DEPLOY / role / "compose.yaml").read_text("utf-8")
    used = {part.partition(":?}")[0] for part in text.split("${")[1:]}
    lines = (DEPLOY / role / ".env.example").read_text("utf-8").splitlines()
    named = {line.partition("=")[0] for line in lines if line and not line.startswith("#")}
    assert named == used


@pytest.mark.parametrize(
    ("role", "files"),
    [
        ("coordinator", ["compose.yaml"]),
        ("site", ["compose.yaml"]),
        ("site", ["compose.yaml", "compose.gpu.yaml"]),
    ],
)
def test_docker_compose_takes_the_files(role: str, files: list[str]) -> None:
    docker = shutil.which("docker")
    if docker is None:
        pytest.skip("no docker on this machine")
    known = subprocess.run([docker, "compose", "version"], capture_output=True, check=False)
    if known.returncode != 0:
        pytest.skip("docker is here, its compose plugin is not")
    chosen = [part for name in files for part in ("--file", str(DEPLOY / role / name))]
    example = ["--env-file", str(DEPLOY / role / ".env.example")]
    done = subprocess.run(
        [docker, "compose", *example, *chosen, "config", "--quiet"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
