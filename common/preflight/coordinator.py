"""The coordinator's reverse proxy, as a preflight asks it."""

from __future__ import annotations

import http.client
import ssl
import time
from dataclasses import dataclass
from pathlib import Path

TIMEOUT_S = 10.0
LARGEST_ANSWER_BYTES = 64 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What came back.

    status   of HTTP
    date     the Date header, None where there is none
    took_s   from the first byte of the connection to the answer's end
    """

    status: int
    date: str | None
    took_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Coordinator:
    """Where the proxy stands and whom it must be signed by.

    address          host name or IP address
    authority_file   certificate of the federation's authority, PEM; no other authority is trusted
    """

    address: str
    port: int
    authority_file: Path

    @property
    def shown(self) -> str:
        """`address:port`, with brackets around an IPv6 address."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"

    def trust(self) -> ssl.SSLContext:
        """A context that believes the federation's authority only; OSError where it has no file."""
        return ssl.create_default_context(cafile=self.authority_file)

    def answer(
        self,
        method: str,
        path: str,
        *,
        body: bytes = b"",
        content_type: str = "text/plain",
        timeout_s: float = TIMEOUT_S,
        trust: ssl.SSLContext | None = None,
    ) -> Answer:
        """The proxy's answer to one request on a new connection; OSError where there is none.

        timeout_s   of each wait on the network
        trust       the federation's authority where None
        """
        connection = http.client.HTTPSConnection(
            self.address, self.port, timeout=timeout_s, context=trust or self.trust()
        )
        started = time.perf_counter()
        try:
            connection.request(method, path, body=body, headers={"Content-Type": content_type})
            response = connection.getresponse()
            response.read(LARGEST_ANSWER_BYTES)
        except http.client.HTTPException as error:
            raise ConnectionError(f"no answer in HTTP: {type(error).__name__}") from None
        finally:
            connection.close()
        took_s = time.perf_counter() - started
        return Answer(status=response.status, date=response.getheader("Date"), took_s=took_s)


def unverified() -> ssl.SSLContext:
    """A context that believes anyone: for looking at what is wrong, never for sending anything."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def duration(seconds: float) -> str:
    """Seconds below two minutes, else minutes."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"


def reason(error: OSError) -> str:
    """The error in a few words, without the numbers of the operating system."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return error.strerror or str(error) or type(error).__name__
