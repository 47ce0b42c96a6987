"""What the certificate says, by real servers on loopback."""

from __future__ import annotations

import socketserver
import threading
from pathlib import Path

import pytest

from common.membership.certificate import certificate_fingerprint
from common.preflight.check import CheckResult
from common.preflight.tls import tls
from tests.preflight_servers import Authority, at, https_server


def check_of(
    folder: Path,
    *,
    trusted: Authority | None = None,
    signer: Authority | None = None,
    **how: object,
) -> CheckResult:
    """The check of a server whose certificate `signer` made, by a site that trusts `trusted`."""
    trusted = trusted or Authority()
    files = (signer or trusted).server(folder / "server", **how)  # type: ignore[arg-type] # as named
    with https_server(files) as port:
        return tls(at(port, folder, trusted))


def test_a_certificate_of_the_authority_for_this_address_passes(tmp_path: Path) -> None:
    check = check_of(tmp_path)
    assert check.status == "passed"
    assert check.found.startswith("for 127.0.0.1, until ")


@pytest.mark.parametrize("name", ["another", "authority"])
def test_another_authority_is_named_even_under_the_same_name(tmp_path: Path, name: str) -> None:
    trusted = Authority()
    check = check_of(tmp_path, trusted=trusted, signer=Authority(name))
    assert check.status == "problem"
    assert f"signed by CN={name}, which is not this federation's authority" in check.found
    assert certificate_fingerprint(trusted.pem) in check.found


def test_an_expired_certificate_says_when_it_ended(tmp_path: Path) -> None:
    check = check_of(tmp_path, from_day=-20, to_day=-3)
    assert check.status == "problem"
    assert check.found.startswith("the certificate expired on 20")
    assert "lesionfed rotate" in str(check.fix)


def test_a_certificate_of_tomorrow_points_at_the_clock(tmp_path: Path) -> None:
    check = check_of(tmp_path, from_day=2, to_day=30)
    assert check.status == "problem"
    assert check.found.startswith("the certificate is not yet valid: it holds from 20")
    assert str(check.fix).startswith("If the date here is wrong, set this machine's clock")


@pytest.mark.parametrize("names", ["10.1.2.3", "other.example"])
def test_a_certificate_for_another_name_says_both_names(tmp_path: Path, names: str) -> None:
    check = check_of(tmp_path, names=names)
    assert check.status == "problem"
    assert check.found == f"the certificate is for {names}, not for 127.0.0.1"


def test_another_host_name_is_distinguished_from_another_address(tmp_path: Path) -> None:
    authority = Authority()
    with https_server(authority.server(tmp_path / "server", names="10.1.2.3")) as port:
        check = tls(at(port, tmp_path, authority, address="localhost"))
    assert check.found == "the certificate is for 10.1.2.3, not for localhost"


def test_the_last_thirty_days_are_warned_of(tmp_path: Path) -> None:
    assert check_of(tmp_path, to_day=31).status == "passed"
    check = check_of(tmp_path, to_day=10.5)
    assert check.status == "warning"
    assert check.found.startswith("the server's certificate expires on ")
    assert check.found.endswith("in 10 days")


def test_the_authoritys_own_end_is_warned_of(tmp_path: Path) -> None:
    check = check_of(tmp_path, trusted=Authority(ends_in_days=20.5), to_day=40)
    assert check.status == "warning"
    assert check.found.startswith("the authority's certificate expires on ")
    assert "Provision" not in check.found
    assert "provision again" in str(check.fix)


def test_a_server_without_tls_is_distinguished_from_a_wrong_certificate(tmp_path: Path) -> None:
    class Plain(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

    with socketserver.TCPServer(("127.0.0.1", 0), Plain) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        check = tls(at(server.server_address[1], tmp_path, Authority()))
        thread.join()
    assert check.status == "problem"
    assert "does not speak TLS as expected" in check.found


def test_a_missing_or_damaged_authority_is_a_problem_in_words(tmp_path: Path) -> None:
    authority = Authority()
    coordinator = at(1, tmp_path, authority)
    coordinator.authority_file.write_text("nothing")
    assert "not a certificate in PEM" in tls(coordinator).found
    coordinator.authority_file.unlink()
    assert "no such file: the proxy cannot be known" in tls(coordinator).found
