"""The connection to the coordinator by steps: name, proxy variables, TCP, clock, closed paths."""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.request import getproxies_environment, proxy_bypass

from common.preflight.check import (
    CheckResult,
    Step,
    not_checked,
    passed,
    problem,
    run_steps,
    warning,
)
from common.preflight.coordinator import TIMEOUT_S, Coordinator, duration, reason, unverified
from common.preflight.tls import TLS, tls

RESOLUTION = "name resolution"
VARIABLES = "proxy variables"
TCP = "TCP connection"
CLOCK = "clock"
CONTROL = "control closed"

AHEAD_S = 5.0
"""Flower refuses a signature from further in the future: SYSTEM_TIME_TOLERANCE of
flwr.common.constant, in superlink/routers/fleet/node_auth.py (1.41)."""
APART_S = 60.0
"""A problem either way. Flower takes signatures up to 305 s old (TIMESTAMP_TOLERANCE of 300 and
the 5 above), and a slow upload or a drifting clock needs what is left."""
NOTICED_S = 2.0
"""The Date header has whole seconds."""

CLOSED = ("/v1/control/list-runs", "/v1/runtime/get-nodes")
"""One path of each: control starts runs and enrols nodes for anyone who reaches it; runtime hands
out the work. Asked with a media type that the SuperLink refuses, so an open path does nothing."""
FORBIDDEN = 403


def connection(coordinator: Coordinator) -> Iterator[Step]:
    """Name, variables, TCP, clock, TLS, closed paths; the last of them changes nothing there."""
    address = coordinator.address
    yield Step(RESOLUTION, lambda: name_resolution(address), essential=True)
    yield Step(VARIABLES, lambda: proxy_variables(address))
    yield Step(TCP, lambda: tcp(coordinator), essential=True)
    yield Step(CLOCK, lambda: clock(coordinator))
    yield Step(TLS, lambda: tls(coordinator), essential=True)
    yield Step(CONTROL, lambda: control_closed(coordinator))


def reached(coordinator: Coordinator) -> Iterator[CheckResult]:
    """Whether the address itself answers as the federation's proxy: name, TCP, TLS."""
    address = coordinator.address
    return run_steps(
        [
            Step(RESOLUTION, lambda: name_resolution(address), essential=True),
            Step(TCP, lambda: tcp(coordinator), essential=True),
            Step(TLS, lambda: tls(coordinator)),
        ]
    )


def name_resolution(address: str) -> CheckResult:
    """Passed with the addresses that `address` leads to; the operating system bounds the wait."""
    try:
        return passed(RESOLUTION, f"{ipaddress.ip_address(address)} is an IP address")
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(address, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return problem(
            RESOLUTION,
            f"the name {address} is not known here",
            "Compare it with what the coordinator says; then ask your network's administrators for "
            "a DNS entry, or add the name to /etc/hosts.",
        )
    addresses = sorted({str(entry[4][0]) for entry in found})
    return passed(RESOLUTION, f"{address} is {', '.join(addresses)}")


def proxy_variables(address: str) -> CheckResult:
    """A warning where HTTPS_PROXY or ALL_PROXY holds for `address`: the SuperNode follows them."""
    proxies = getproxies_environment()
    variable = next((f"{name.upper()}_PROXY" for name in ("https", "all") if name in proxies), None)
    if variable is None:
        return passed(VARIABLES, "none is set")
    if proxy_bypass(address):
        return passed(VARIABLES, f"{variable} is set, and NO_PROXY excepts {address}")
    return warning(
        VARIABLES,
        f"{variable} is set: the SuperNode goes through that proxy, this preflight did not",
        f"Where a direct connection is allowed: export NO_PROXY={address}. A proxy that "
        "intercepts TLS cannot be used.",
    )


def tcp(coordinator: Coordinator) -> CheckResult:
    """Passed with the time that a connection takes."""
    started = time.perf_counter()
    try:
        with socket.create_connection((coordinator.address, coordinator.port), timeout=TIMEOUT_S):
            took_ms = 1000 * (time.perf_counter() - started)
    except ConnectionRefusedError:
        return problem(
            TCP,
            f"{coordinator.shown} refuses connections: nothing listens there",
            "The coordinator starts the reverse proxy, or corrects the port.",
        )
    except TimeoutError:
        return problem(
            TCP,
            f"{coordinator.shown} does not answer within {TIMEOUT_S:.0f} s",
            f"A firewall is likely: ask for outgoing TCP to port {coordinator.port} of "
            f"{coordinator.address}. The coordinator checks that the machine is up.",
        )
    except OSError as error:
        return problem(
            TCP,
            f"{coordinator.shown} cannot be reached: {reason(error)}",
            "Check this machine's network, VPN and routes.",
        )
    return passed(TCP, f"{coordinator.shown} answers in {took_ms:.0f} ms")


def clock(coordinator: Coordinator) -> CheckResult:
    """How far this clock is from that of the proxy, by the Date header of its answer to `/`.

    The certificate is not checked here, since a clock that is far off makes a good one look bad;
    nothing is sent, and what is learnt is only shown.
    """
    try:
        answer = coordinator.answer("GET", "/", trust=unverified())
    except OSError as error:
        return not_checked(CLOCK, f"the proxy does not answer: {reason(error)}")
    here = datetime.now(UTC)
    try:
        there = parsedate_to_datetime(answer.date or "")
        ahead_s = (here - there).total_seconds() - 0.5 - answer.took_s / 2
    except (ValueError, TypeError):
        return not_checked(CLOCK, f"the proxy's answer has no usable date: {answer.date!r}")
    return judge_offset(ahead_s)


def judge_offset(ahead_s: float) -> CheckResult:
    """The check's result; ahead_s: this clock minus the coordinator's, seconds."""
    found = f"{duration(abs(ahead_s))} {'ahead of' if ahead_s > 0 else 'behind'} the coordinator's"
    fix = "Set this machine's clock and keep it by NTP (timedatectl set-ntp true)."
    if ahead_s > AHEAD_S or abs(ahead_s) > APART_S:
        why = "the server refuses signatures of another time"
        return problem(CLOCK, f"this clock is {found}: {why}", fix)
    if abs(ahead_s) > NOTICED_S:
        return warning(CLOCK, f"this clock is {found}", fix)
    return passed(CLOCK, f"within {NOTICED_S:.0f} s of the coordinator's")


def control_closed(coordinator: Coordinator) -> CheckResult:
    """Passed where the proxy answers 403 to both."""
    for path in CLOSED:
        try:
            status = coordinator.answer("POST", path).status
        except OSError as error:
            return not_checked(CONTROL, f"no answer to {path}: {reason(error)}")
        if status != FORBIDDEN:
            return problem(
                CONTROL,
                f"the proxy answers {status} to {path}; want {FORBIDDEN}: anyone who reaches it "
                "may run code at the sites",
                "Start no run. The coordinator lets the proxy pass /v1/fleet/ and nothing else, as "
                "in the nginx.conf that `lesionfed provision` writes.",
            )
    return passed(CONTROL, f"{' and '.join(CLOSED)}: {FORBIDDEN}")
