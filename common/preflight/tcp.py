"""Does anything listen where the coordinator's proxy should?"""

from __future__ import annotations

import socket
import time

from common.preflight.check import Check, passed, problem
from common.preflight.coordinator import TIMEOUT_S, Coordinator, reason

NAME = "TCP connection"


def tcp(coordinator: Coordinator) -> Check:
    """Passed with the time that a connection takes."""
    started = time.perf_counter()
    try:
        with socket.create_connection((coordinator.address, coordinator.port), timeout=TIMEOUT_S):
            took_ms = 1000 * (time.perf_counter() - started)
    except ConnectionRefusedError:
        return problem(
            NAME,
            f"{coordinator.shown} refuses connections: nothing listens there",
            "The coordinator starts the reverse proxy, or corrects the port.",
        )
    except TimeoutError:
        return problem(
            NAME,
            f"{coordinator.shown} does not answer within {TIMEOUT_S:.0f} s",
            f"A firewall is likely: ask for outgoing TCP to port {coordinator.port} of "
            f"{coordinator.address}. The coordinator checks that the machine is up.",
        )
    except OSError as error:
        return problem(
            NAME,
            f"{coordinator.shown} cannot be reached: {reason(error)}",
            "Check this machine's network, VPN and routes.",
        )
    return passed(NAME, f"{coordinator.shown} answers in {took_ms:.0f} ms")
