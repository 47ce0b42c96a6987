"""The image's HEALTHCHECK, against a health service of gRPC's own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc  # type: ignore[import-untyped] # it ships no types
import pytest
from grpc_health.v1.health import (  # type: ignore[import-untyped] # as above
    HealthServicer,
)
from grpc_health.v1.health_pb2 import (  # type: ignore[import-untyped] # as above
    HealthCheckResponse,
)
from grpc_health.v1.health_pb2_grpc import (  # type: ignore[import-untyped] # as above
    add_HealthServicer_to_server,
)

PROBE = Path(__file__).parents[2] / "deploy" / "health.py"


@pytest.fixture
def service() -> Iterator[tuple[HealthServicer, str]]:
    """A health service on loopback and its address."""
    servicer = HealthServicer()
    with ThreadPoolExecutor(1) as threads:
        server = grpc.server(threads)
        add_HealthServicer_to_server(servicer, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield servicer, f"127.0.0.1:{port}"
        server.stop(None).wait()


def probe(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(PROBE), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_service_that_serves_is_well(service: tuple[HealthServicer, str]) -> None:
    done = probe(service[1])
    assert (done.returncode, done.stdout) == (0, f"{service[1]}: SERVING\n")


def test_a_service_that_says_it_does_not_serve_is_not_well(
    service: tuple[HealthServicer, str],
) -> None:
    servicer, address = service
    servicer.set("", HealthCheckResponse.NOT_SERVING)
    done = probe(address)
    assert (done.returncode, done.stdout) == (1, f"{address}: NOT_SERVING\n")


def test_nothing_there_is_not_well() -> None:
    done = probe("127.0.0.1:1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "127.0.0.1:1 does not answer: unavailable\n"


def test_without_an_address_it_says_how_it_is_called() -> None:
    done = probe()
    assert done.returncode == 2
    assert "health.py 127.0.0.1:18099" in done.stderr
