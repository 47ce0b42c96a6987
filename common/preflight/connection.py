"""The way to the coordinator, step by step."""

from __future__ import annotations

from collections.abc import Iterator

from common.preflight import clock, closed_paths, name_resolution, proxy_variables, tcp, tls
from common.preflight.coordinator import Coordinator
from common.preflight.steps import Step


def connection(coordinator: Coordinator) -> Iterator[Step]:
    """Name, variables, TCP, clock, TLS, closed paths; the last of them changes nothing there."""
    address = coordinator.address
    yield Step(
        name_resolution.NAME, lambda: name_resolution.name_resolution(address), essential=True
    )
    yield Step(proxy_variables.NAME, lambda: proxy_variables.proxy_variables(address))
    yield Step(tcp.NAME, lambda: tcp.tcp(coordinator), essential=True)
    yield Step(clock.NAME, lambda: clock.clock(coordinator))
    yield Step(tls.NAME, lambda: tls.tls(coordinator), essential=True)
    yield Step(closed_paths.NAME, lambda: closed_paths.control_closed(coordinator))
