"""HTTPS servers on loopback that are right, or wrong in one named way."""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from common.preflight.coordinator import Coordinator

DAY = datetime.timedelta(days=1)
AS_IT_SHOULD_BE: Mapping[str, tuple[int, Mapping[str, Any]]] = {
    "/v1/fleet/pull-messages": (401, {"detail": "Invalid SuperNode authentication"}),
    "/v1/fleet/activate-node": (400, {"code": 2003, "detail": "Invalid heartbeat interval."}),
}
"""What a proxy with a SuperLink behind it answers; 403 to every other path."""


class Authority:
    """A private certificate authority, in memory."""

    def __init__(self, name: str = "authority", *, ends_in_days: float = 3650) -> None:
        self._key = ec.generate_private_key(ec.SECP384R1())
        self._name = _name(name)
        builder = _builder(self._name, self._name, self._key.public_key(), -30, ends_in_days)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        self.certificate = builder.sign(self._key, hashes.SHA384())

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def server(
        self, folder: Path, *, names: str = "127.0.0.1", from_day: float = -1, to_day: float = 365
    ) -> tuple[Path, Path]:
        """Certificate and key of a server, for one IP address or name, days from now."""
        key = ec.generate_private_key(ec.SECP384R1())
        name: x509.GeneralName
        try:
            name = x509.IPAddress(ipaddress.ip_address(names))
        except ValueError:
            name = x509.DNSName(names)
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            _builder(_name(names), self._name, key.public_key(), from_day, to_day)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
            .add_extension(x509.SubjectAlternativeName([name]), False)
            .add_extension(signer, False)
            .sign(self._key, hashes.SHA384())
        )
        folder.mkdir(parents=True, exist_ok=True)
        files = folder / "server.pem", folder / "server.key"
        files[0].write_bytes(certificate.public_bytes(Encoding.PEM))
        files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        files[1].chmod(0o600)
        return files


@contextmanager
def https_server(
    files: tuple[Path, Path],
    *,
    answers: Mapping[str, tuple[int, Mapping[str, Any]]] = AS_IT_SHOULD_BE,
    ahead_s: float = 0,
) -> Iterator[int]:
    """The port of a server with that certificate and key.

    answers   path -> status and JSON; 403 elsewhere
    ahead_s   how far the server's clock is ahead, by its Date header
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, content = answers.get(self.path, (403, {}))
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST

        def date_time_string(self, timestamp: float | None = None) -> str:
            now = datetime.datetime.now(datetime.UTC).timestamp()
            return formatdate(now + ahead_s, usegmt=True)

        def log_message(self, format: str, *args: object) -> None:
            """A test's output is the test's."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that refuses the certificate is what is tested."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    with Server(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


def at(port: int, folder: Path, authority: Authority, *, address: str = "127.0.0.1") -> Coordinator:
    """The coordinator at that port, known by the authority's certificate."""
    file = folder / "ca.pem"
    file.write_bytes(authority.pem)
    return Coordinator(address=address, port=port, authority_file=file)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    from_day: float,
    to_day: float,
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + from_day * DAY)
        .not_valid_after(now + to_day * DAY)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=subject == issuer,
                crl_sign=subject == issuer,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            ),
            True,
        )
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
