"""What is refused over the whole stack, nginx and SuperLink included, and what the site then reads.

`lesionfed-site preflight` names the step that fails; `lesionfed-site run` ends and says where to
look.
"""

from __future__ import annotations

import datetime
import json
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from client.site.site_folder import SiteFolder
from common.membership.node_key import new_node_key
from server.federation.authority import Credential, new_authority, new_server_certificate
from server.federation.proxy import LARGEST_BODY_MB, REQUESTS_AT_ONCE
from tests.federation.processes import Service, stop_all
from tests.hosts.consortium import COORDINATOR, PORT, HostedConsortium, plain_environment
from tests.hosts.namespaces import why_not

pytestmark = [
    pytest.mark.federation,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]

SITE = "site-a"
SUPERLINK_PORT = 18000
DAY = datetime.timedelta(days=1)
FAKETIME = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)
RUN_S = 180.0
"""How long `lesionfed-site run` may take until it ends; 10 s on an idle machine."""

BAD_CERTIFICATES = {"wrong-san": 8451, "expired": 8452, "not-yet-valid": 8453}
"""What is wrong -> port of a second nginx that shows such a certificate."""

ASK = """
import http.client, json, ssl, sys
address, port, authority, questions = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
trust, answers = ssl.create_default_context(cafile=authority), []
for method, path, length in json.loads(questions):
    connection = http.client.HTTPSConnection(address, port, timeout=20, context=trust)
    connection.putrequest(method, path, skip_accept_encoding=True)
    connection.putheader("Content-Length", str(length))
    connection.endheaders()
    answers.append(connection.getresponse().status)
    connection.close()
print(json.dumps(answers))
"""
"""Asks with the path as it is: most HTTP clients would tidy it up before they send it."""

HOLD = """
import http.client, ssl, sys
address, port, n_held, authority = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
trust, held = ssl.create_default_context(cafile=authority), []
for _ in range(n_held + 1):
    connection = http.client.HTTPSConnection(address, port, timeout=20, context=trust)
    connection.putrequest("POST", "/v1/fleet/activate-node")
    connection.putheader("Content-Length", "1000000")
    connection.endheaders()
    held.append(connection)
print(held[-1].getresponse().status)
"""
"""Holds so many requests open, asks once more, and prints what the last is told."""

WAY = ("TCP connection", "clock", "TLS certificate", "control closed", "node key")
"""The steps of the preflight on which the refusals below show."""

CLOSED = (
    "/v1/control",
    "/v1/control/list-runs",
    "//v1/control/list-runs",
    "/v1//control/list-runs",
    "/./v1/control/list-runs",
    "/v1/%63ontrol/list-runs",
    "/%76%31/control/list-runs",
    "/v1/fleet/../control/list-runs",
    "/v1/fleet/./../control/list-runs",
    "/v1/fleet/%2e%2e/control/list-runs",
    "/v1/fleet/..%2fcontrol/list-runs",
    "/v1/fleet/%2e%2e%2fcontrol/list-runs",
    "/v1/fleet//..//../control/list-runs",
    "/v1/CONTROL/list-runs",
    "/v1/runtime/get-nodes",
    "/health",
    "/docs",
    "/openapi.json",
    "/",
    "/v1/fleet",
    "/v1/fleet/register-node",
    "/v1/fleet//register-node",
    "/v1/fleet/%72egister-node",
    "/v1/fleet/x/../register-node",
    "/v1/fleet/unregister-node",
)


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostedConsortium]:
    with HostedConsortium(tmp_path_factory.mktemp("refusals"), running=()) as hosted:
        yield hosted


@pytest.fixture(scope="module")
def second_proxy(
    consortium: HostedConsortium, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """An nginx at the coordinator that shows each of the bad certificates on a port of its own."""
    folder = tmp_path_factory.mktemp("proxy")
    service = start_proxy(consortium, folder)
    try:
        yield
    finally:
        stop_all([service])


@pytest.fixture
def site(consortium: HostedConsortium, tmp_path: Path) -> SiteFolder:
    """A copy of the joined site's folder, to be spoilt."""
    shutil.copytree(consortium.site(SITE).path, tmp_path / SITE)
    return SiteFolder(tmp_path / SITE)


def test_only_the_fleets_paths_are_open_to_a_site(consortium: HostedConsortium) -> None:
    answers = ask(consortium, [("POST", path, 0) for path in CLOSED])
    assert dict(zip(CLOSED, answers, strict=True)) == dict.fromkeys(CLOSED, 403)
    get, post = ask(
        consortium, [("GET", "/v1/fleet/activate-node", 0), ("POST", "/v1/fleet/activate-node", 0)]
    )
    assert get == 403
    assert post in (400, 401, 415)  # this one is the SuperLink's own answer


def test_the_superlink_itself_is_out_of_a_sites_reach(consortium: HostedConsortium) -> None:
    done = asked(consortium, [("POST", "/v1/control/list-runs", 0)], port=SUPERLINK_PORT)
    assert "ConnectionRefusedError" in done


def test_a_body_above_the_limit_is_refused_before_it_is_sent(consortium: HostedConsortium) -> None:
    limit = LARGEST_BODY_MB << 20
    answers = ask(consortium, [("POST", "/v1/fleet/push-object", limit + 1)])
    assert answers == [413]


def test_one_address_does_not_take_the_proxy_for_itself(consortium: HostedConsortium) -> None:
    """Requests that promise a body and send none of it, one more than the proxy holds open."""
    at = (consortium.hosts.address(COORDINATOR), str(PORT))
    authority = str(consortium.site(SITE).authority_file)
    many = (str(REQUESTS_AT_ONCE), authority)
    done = consortium.call(SITE, [sys.executable, "-c", HOLD, *at, *many])
    assert done.stdout.split() == ["503"], done.stderr
    # its neighbours are served meanwhile, and it is itself once it has let go
    assert ask(consortium, [("POST", "/v1/control", 0)]) == [403]


def test_a_site_in_order_passes_the_preflight(
    consortium: HostedConsortium, site: SiteFolder
) -> None:
    checks = preflight(consortium, site)
    found = {name: checks[name] for name in WAY}
    # a warning will do: on a machine that is busy the clock seems to be seconds off
    assert {check["status"] for check in found.values()} <= {"passed", "warning"}, found


def test_an_unregistered_key(consortium: HostedConsortium, site: SiteFolder) -> None:
    site.key_file.unlink()
    in_kit(site, public_key=new_node_key(site.key_file))
    check = preflight(consortium, site)["node key"]
    assert (check["status"], check["found"]) == (
        "problem",
        "the server does not know this key: not enrolled yet, suspended or removed",
    )
    assert "the coordinator's server does not know this site's key" in refusal(consortium, site)


def test_the_key_of_another_site(consortium: HostedConsortium, site: SiteFolder) -> None:
    shutil.copy(consortium.site("site-b").key_file, site.key_file)
    check = preflight(consortium, site)["kit"]
    assert check["status"] == "problem"
    assert "is for another key than" in check["found"]
    assert "is for another key than" in refusal(consortium, site, exit_code=2)


def test_an_authority_that_is_not_the_federations(
    consortium: HostedConsortium, site: SiteFolder
) -> None:
    other = new_authority("other", now=datetime.datetime.now(datetime.UTC))
    site.authority_file.write_bytes(other.certificate)
    check = preflight(consortium, site)["TLS certificate"]
    assert check["status"] == "problem"
    assert "which is not this federation's authority" in check["found"]
    assert "preflight" in refusal(consortium, site)


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("wrong-san", r"the certificate is for .*10\.9\.9\.9.*, not for 10\.77\."),
        ("expired", "the certificate expired on "),
        ("not-yet-valid", "the certificate is not yet valid: it holds from "),
    ],
)
@pytest.mark.usefixtures("second_proxy")
def test_a_server_certificate_that_does_not_hold(
    consortium: HostedConsortium, site: SiteFolder, fault: str, found: str
) -> None:
    in_kit(site, port=BAD_CERTIFICATES[fault])
    check = preflight(consortium, site)["TLS certificate"]
    assert check["status"] == "problem"
    assert re.match(found, check["found"]), check
    assert "preflight" in refusal(consortium, site)


@pytest.mark.skipif(FAKETIME is None, reason="libfaketime is not installed")
@pytest.mark.parametrize(
    ("shift", "found"),
    [
        pytest.param("+10m", "this clock is 10 minutes ahead of the coordinator's", id="ahead"),
        pytest.param("-10m", "this clock is 10 minutes behind the coordinator's", id="behind"),
    ],
)
def test_a_clock_that_is_ten_minutes_off(
    consortium: HostedConsortium, site: SiteFolder, shift: str, found: str
) -> None:
    moved = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": shift, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    checks = preflight(consortium, site, environment=moved)
    assert checks["clock"]["status"] == "problem"
    assert found in checks["clock"]["found"]
    # the SuperLink's own word; a SuperNode cannot be tried so: under libfaketime it cannot sleep
    assert checks["node key"]["found"] == "the server does not take this key's signature"


def preflight(
    consortium: HostedConsortium, site: SiteFolder, *, environment: Mapping[str, str] | None = None
) -> dict[str, dict[str, Any]]:
    """Name of each check -> what it found."""
    done = consortium.try_lesionfed_site(
        SITE, "preflight", "--json", folder=site, environment=environment
    )
    try:
        checks = json.loads(done.stdout)["checks"]
    except ValueError:
        raise RuntimeError(f"preflight: {done.returncode}\n{done.stdout}\n{done.stderr}") from None
    return {check["name"]: check for check in checks}


def in_kit(site: SiteFolder, **changed: object) -> None:
    """The folder's kit says so: from the day it joined, nobody compares it with its signature."""
    kit = json.loads(site.kit_file.read_bytes())
    site.kit_file.write_text(json.dumps({**kit, **changed}), "utf-8")


def refusal(consortium: HostedConsortium, site: SiteFolder, *, exit_code: int = 1) -> str:
    """What `lesionfed-site run` says as it ends; it must end by itself."""
    done = consortium.try_lesionfed_site(SITE, "run", folder=site, timeout_s=RUN_S)
    said = done.stdout + done.stderr
    assert done.returncode == exit_code, said
    assert "Traceback" not in said
    return said


def ask(consortium: HostedConsortium, questions: list[tuple[str, str, int]]) -> list[int]:
    """The HTTP status of each answer that the site gets; a question is method, path, length."""
    answers: list[int] = json.loads(asked(consortium, questions, port=PORT))
    return answers


def asked(consortium: HostedConsortium, questions: list[tuple[str, str, int]], *, port: int) -> str:
    """All that the questions bring, errors included."""
    authority = str(consortium.site(SITE).authority_file)
    at = (consortium.hosts.address(COORDINATOR), str(port), authority, json.dumps(questions))
    done = consortium.call(SITE, [sys.executable, "-c", ASK, *at])
    return done.stdout + done.stderr


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shown:
    """A certificate on disk, and the port it is shown on."""

    name: str
    port: int

    def block(self) -> str:
        return (
            f"server {{ listen {self.port} ssl; ssl_certificate {self.name}.pem; "
            f"ssl_certificate_key {self.name}.key; return 403; }}"
        )


def start_proxy(consortium: HostedConsortium, folder: Path) -> Service:
    """nginx with one bad certificate a port, all of the federation's own authority."""
    federation = consortium.federation
    authority = Credential(
        federation.authority_file.read_bytes(), federation.authority_key_file.read_bytes()
    )
    for fault, credential in bad_certificates(consortium, authority).items():
        (folder / f"{fault}.pem").write_bytes(credential.certificate)
        (folder / f"{fault}.key").write_bytes(credential.key)
    blocks = [_Shown(name=name, port=port).block() for name, port in BAD_CERTIFICATES.items()]
    temporary = [
        f"{kind}_temp_path {kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    ]
    lines = ["daemon off; pid nginx.pid; error_log error.log; events {}", "http {"]
    lines += [*temporary, "access_log off;", *blocks, "}"]
    (folder / "nginx.conf").write_text("\n".join(lines), encoding="utf-8")
    service = consortium.hosts.run_in(
        COORDINATOR,
        ["nginx", "-p", f"{folder}/", "-c", str(folder / "nginx.conf"), "-e", "error.log"],
        log=folder / "nginx.log",
        folder=folder,
        environment=plain_environment(),
    )
    consortium.await_that(lambda: (folder / "nginx.pid").exists(), what="nginx", timeout_s=120)
    return service


def bad_certificates(consortium: HostedConsortium, authority: Credential) -> dict[str, Credential]:
    """What is wrong -> a server certificate that the federation's authority has signed."""
    now = datetime.datetime.now(datetime.UTC)
    address = consortium.hosts.address(COORDINATOR)
    good = new_server_certificate(authority, address=address, now=now)
    return {
        "wrong-san": new_server_certificate(authority, address="10.9.9.9", now=now),
        "expired": redated(good, authority, start=now - 2 * DAY, end=now - DAY),
        "not-yet-valid": redated(good, authority, start=now + DAY, end=now + 2 * DAY),
    }


def redated(
    credential: Credential,
    authority: Credential,
    *,
    start: datetime.datetime,
    end: datetime.datetime,
) -> Credential:
    """The same certificate, signed again for other dates."""
    old = x509.load_pem_x509_certificate(credential.certificate)
    key = load_pem_private_key(authority.key, password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    builder = (
        x509.CertificateBuilder()
        .subject_name(old.subject)
        .issuer_name(old.issuer)
        .public_key(old.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )
    for extension in old.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    new = builder.sign(key, hashes.SHA384())
    return Credential(new.public_bytes(Encoding.PEM), credential.key)
