"""Name, port, and what is not tried behind a fault."""

from __future__ import annotations

from pathlib import Path

from common.preflight.check import passed, problem
from common.preflight.connection import connection
from common.preflight.name_resolution import name_resolution
from common.preflight.steps import Step, taken
from common.preflight.tcp import tcp
from tests.ports import free_port
from tests.preflight_servers import Authority, at, https_server


def test_an_unknown_name_is_a_problem_and_localhost_is_not() -> None:
    assert "the name no-such-host.invalid is not known here" in (
        name_resolution("no-such-host.invalid").found
    )
    assert name_resolution("no-such-host.invalid").status == "problem"
    assert name_resolution("a" * 70 + ".example").status == "problem"  # labels end at 63
    assert name_resolution("localhost").status == "passed"
    assert name_resolution("10.1.2.3").found == "10.1.2.3 is an IP address"


def test_a_free_port_says_that_nothing_listens(tmp_path: Path) -> None:
    port = free_port()
    check = tcp(at(port, tmp_path, Authority()))
    assert check.status == "problem"
    assert check.found == f"127.0.0.1:{port} refuses connections: nothing listens there"


def test_a_good_way_passes_at_every_step(tmp_path: Path) -> None:
    authority = Authority()
    with https_server(authority.server(tmp_path / "server")) as port:
        checks = list(taken(connection(at(port, tmp_path, authority))))
    assert {check.name: check.status for check in checks if check.name != "proxy variables"} == {
        "name resolution": "passed",
        "TCP connection": "passed",
        "clock": "passed",
        "TLS certificate": "passed",
        "control closed": "passed",
    }


def test_a_wrong_certificate_keeps_from_trying_what_stands_behind(tmp_path: Path) -> None:
    with https_server(Authority().server(tmp_path / "server")) as port:
        checks = list(taken(connection(at(port, tmp_path, Authority()))))
    assert [check.status for check in checks[-3:]] == ["passed", "problem", "not-checked"]
    assert checks[-1].found == "TLS certificate comes first"


def test_only_an_essential_fault_stops_the_rest() -> None:
    steps = [
        Step("a", lambda: problem("a", "odd", "mend it")),
        Step("b", lambda: passed("b", "fine"), essential=True),
        Step("c", lambda: problem("c", "odd", "mend it"), essential=True),
        Step("d", lambda: passed("d", "fine")),
    ]
    assert [check.status for check in taken(steps)] == [
        "problem",
        "passed",
        "problem",
        "not-checked",
    ]
