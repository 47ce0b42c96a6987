"""Name, variables, port, clock and closed paths; what is not tried after a fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.preflight.check import run_steps
from common.preflight.network import (
    clock,
    connection,
    control_closed,
    judge_offset,
    name_resolution,
    proxy_variables,
    tcp,
)
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
        checks = list(run_steps(connection(at(port, tmp_path, authority))))
    assert {check.name: check.status for check in checks if check.name != "proxy variables"} == {
        "name resolution": "passed",
        "TCP connection": "passed",
        "clock": "passed",
        "TLS certificate": "passed",
        "control closed": "passed",
    }


def test_a_wrong_certificate_keeps_from_trying_what_stands_behind(tmp_path: Path) -> None:
    with https_server(Authority().server(tmp_path / "server")) as port:
        checks = list(run_steps(connection(at(port, tmp_path, Authority()))))
    assert [check.status for check in checks[-3:]] == ["passed", "problem", "not-checked"]
    assert checks[-1].found == "TLS certificate comes first"


def test_a_web_proxy_is_warned_of_unless_the_address_is_excepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    assert proxy_variables("hub.example").found == "none is set"
    monkeypatch.setenv("HTTPS_PROXY", "http://web.example:3128")
    check = proxy_variables("hub.example")
    assert check.status == "warning"
    assert "export NO_PROXY=hub.example" in str(check.fix)
    monkeypatch.setenv("NO_PROXY", "hub.example")
    assert proxy_variables("hub.example").status == "passed"


@pytest.mark.parametrize(
    ("server_ahead_s", "words"), [(-600, "10 minutes ahead of"), (600, "10 minutes behind")]
)
def test_ten_minutes_off_is_a_problem_with_its_direction(
    tmp_path: Path, server_ahead_s: float, words: str
) -> None:
    authority = Authority()
    with https_server(authority.server(tmp_path / "server"), ahead_s=server_ahead_s) as port:
        check = clock(at(port, tmp_path, authority))
    assert check.status == "problem"
    assert check.found.startswith(f"this clock is {words} the coordinator's")


def test_the_clock_is_seen_through_a_certificate_that_it_makes_look_bad(tmp_path: Path) -> None:
    authority = Authority()
    files = authority.server(tmp_path / "server", from_day=1, to_day=2)
    with https_server(files, ahead_s=1.5 * 86400) as port:
        check = clock(at(port, tmp_path, authority))
    assert check.found.startswith("this clock is 2160 minutes behind")  # 1.5 * 24 * 60


@pytest.mark.parametrize(
    ("ahead_s", "status"),
    [
        pytest.param(1.0, "passed", id="the Date header has whole seconds"),
        pytest.param(-1.9, "passed", id="behind, within two seconds"),
        pytest.param(4.0, "warning", id="Flower allows 5 s ahead"),
        pytest.param(6.0, "problem", id="Flower refuses more than 5 s ahead"),
        pytest.param(-6.0, "warning", id="Flower takes older signatures"),
        pytest.param(-61.0, "problem", id="more than a minute is too much"),
    ],
)
def test_ahead_counts_more_than_behind(ahead_s: float, status: str) -> None:
    assert judge_offset(ahead_s).status == status


def test_without_an_answer_nothing_is_said_of_the_clock(tmp_path: Path) -> None:
    assert clock(at(free_port(), tmp_path, Authority())).status == "not-checked"


def test_403_to_control_and_runtime_passes(tmp_path: Path) -> None:
    authority = Authority()
    with https_server(authority.server(tmp_path / "server")) as port:
        assert control_closed(at(port, tmp_path, authority)).status == "passed"


@pytest.mark.parametrize("path", ["/v1/control/list-runs", "/v1/runtime/get-nodes"])
@pytest.mark.parametrize("status", [200, 415, 502])
def test_any_other_answer_is_a_problem(tmp_path: Path, path: str, status: int) -> None:
    authority = Authority()
    files = authority.server(tmp_path / "server")
    with https_server(files, answers={path: (status, {})}) as port:
        check = control_closed(at(port, tmp_path, authority))
    assert check.status == "problem"
    assert check.found.startswith(f"the proxy answers {status} to {path}; want 403")
