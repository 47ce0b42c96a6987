from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc  # type: ignore[import-untyped] # it ships no types
import pytest
import tomli_w
from grpc_health.v1 import (  # type: ignore[import-untyped] # as above
    health,
    health_pb2,
    health_pb2_grpc,
)

from common.errors import ConfigError
from server.federation.authority import new_authority
from server.federation.federation_folder import FederationFolder
from server.federation.members import Member, Members, write_members
from server.status.federation_status import N_RUNS, federation_status
from tests.server.status.made_run import made_run, started

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
def health_service() -> Iterator[tuple[int, health.HealthServicer]]:
    """A port of loopback and what answers there, as the SuperLink's does."""
    server = grpc.server(ThreadPoolExecutor(1))
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port, servicer
    server.stop(None).wait(5)


def federation(folder: Path, *, health_port: int = 1) -> FederationFolder:
    """Three planned sites, of which two have enrolled and one of them is suspended."""
    made = FederationFolder(folder)
    table = {
        "name": "ms",
        "address": "fed.example.org",
        "health_port": health_port,
        "sites": [{"name": "a"}, {"name": "b", "role": "evaluate"}, {"name": "c"}],
    }
    made.settings_file.write_text(tomli_w.dumps(table), encoding="utf-8")
    members = (
        Member(site="b", public_key="k b", state="suspended", enrolled="2026-03-01T00:00:00Z"),
        Member(site="a", public_key="k a", enrolled="2026-02-01T00:00:00Z"),
    )
    write_members(made.members_file, Members(members=members))
    made.authority_file.parent.mkdir()
    pem = new_authority("ms", now=NOW).certificate
    made.authority_file.write_bytes(pem)
    return made


@pytest.mark.parametrize(
    ("told", "status", "found"),
    [(SERVING, "passed", "SERVING"), (NOT_SERVING, "problem", "NOT_SERVING")],
)
def test_the_superlink_is_asked_for_its_health(
    told: int,
    status: str,
    found: str,
    tmp_path: Path,
    health_service: tuple[int, health.HealthServicer],
) -> None:
    port, servicer = health_service
    servicer.set("", told)
    superlink = federation_status(federation(tmp_path, health_port=port), now=NOW).superlink
    assert superlink.status == status
    assert superlink.found.endswith(f" {found}")


def test_a_superlink_that_is_not_there_is_to_be_started(tmp_path: Path) -> None:
    superlink = federation_status(federation(tmp_path), now=NOW).superlink
    assert superlink.status == "problem"
    assert superlink.fix == f"Start the server: `lesionfed serve --federation {tmp_path}`."


def test_every_planned_site_is_shown_whether_it_has_enrolled_or_not(tmp_path: Path) -> None:
    members = federation_status(federation(tmp_path), now=NOW).members
    assert [(m.site, m.role, m.state) for m in members] == [
        ("a", "train", "active"),
        ("b", "evaluate", "suspended"),
        ("c", "train", "not-enrolled"),
    ]


def test_a_certificate_is_warned_of_before_it_ends_and_where_it_is_missing(tmp_path: Path) -> None:
    made = federation(tmp_path)
    authority, server = federation_status(made, now=NOW).certificates
    assert authority.warning is None
    assert authority.days_left is not None
    assert authority.days_left > 300
    assert server.warning is not None
    assert "cannot be read" in server.warning
    soon = NOW + timedelta(days=authority.days_left - 10)
    made.certificate_file.write_bytes(made.authority_file.read_bytes())
    authority, server = federation_status(made, now=soon).certificates
    assert authority.days_left == 10
    assert authority.warning is not None
    assert "in 10 days; provision a new federation" in authority.warning
    assert server.warning is not None
    assert "in 10 days; run `lesionfed rotate`" in server.warning


def test_the_latest_runs_come_first_and_one_that_cannot_be_read_is_said_to_be_so(
    tmp_path: Path,
) -> None:
    made = federation(tmp_path)
    for i in range(N_RUNS + 2):
        run = made_run(made.runs / f"run{i}", started())
        os.utime(run.events_file, (1000 + i, 1000 + i))
    (made.runs / f"run{N_RUNS}" / "recipe.toml").write_text("[[[", "utf-8")
    runs = federation_status(made, now=NOW).runs
    assert [run.run for run in runs] == ["run6", "run5", "run4", "run3", "run2"]
    others = ["interrupted"] * 3
    assert [run.status for run in runs] == ["interrupted", "unreadable", *others]


def test_a_folder_that_is_no_federation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"federation\.toml: no such file"):
        federation_status(FederationFolder(tmp_path), now=NOW)
