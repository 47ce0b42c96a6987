"""The standard health service, by a real gRPC server."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc  # type: ignore[import-untyped] # it ships no types
import pytest
from grpc_health.v1.health import HealthServicer  # type: ignore[import-untyped] # as above
from grpc_health.v1.health_pb2 import HealthCheckResponse  # type: ignore[import-untyped] # as above
from grpc_health.v1.health_pb2_grpc import (  # type: ignore[import-untyped] # as above
    add_HealthServicer_to_server,
)

from common.preflight.health import grpc_health
from tests.ports import free_port


@contextmanager
def serving(status: int) -> Iterator[int]:
    servicer = HealthServicer()
    servicer.set("", status)
    with ThreadPoolExecutor(max_workers=2) as pool:
        server = grpc.server(pool)
        add_HealthServicer_to_server(servicer, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield port
        finally:
            server.stop(None).wait()


@pytest.mark.parametrize(
    ("status", "judged_as"),
    [(HealthCheckResponse.SERVING, "passed"), (HealthCheckResponse.NOT_SERVING, "problem")],
)
def test_what_the_process_says_of_itself_counts(status: int, judged_as: str) -> None:
    with serving(status) as port:
        assert grpc_health("SuperLink", port=port, fix="Start it.").status == judged_as


def test_a_process_that_is_not_there_is_a_problem_with_its_fix() -> None:
    check = grpc_health("SuperNode", port=free_port(), fix="Start it.")
    assert (check.status, check.fix) == ("problem", "Start it.")
    assert check.found.endswith("does not answer (unavailable)")


def test_a_web_proxy_in_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("no_proxy", "")
    with serving(HealthCheckResponse.SERVING) as port:
        assert grpc_health("SuperLink", port=port, fix="Start it.").status == "passed"
