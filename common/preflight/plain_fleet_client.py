"""A site's HTTP client for the coordinator's server, which goes nowhere else and takes no more.

Flower's own follows every redirect, with the body, also to another host and to plain http: a
coordinator could have a hospital's node call the hospital's own servers. It inflates compressed
answers, and takes answers of any length: 1 MB on the line becomes 1 GB of memory.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence

import httpx
from flwr.supercore.protobuf.client import ProtobufClientInterceptor
from flwr.supercore.retry import RetryInvoker
from flwr.supernode.fleet_http_client import FleetHttpClient

LONGEST_ANSWER_BYTES = 16 << 20
"""Flower sends a message in objects of at most 5 MB."""


class PlainFleetClient(FleetHttpClient):
    """Flower's client without redirects, without compression, and with a longest answer."""

    def __init__(
        self,
        base_url: str,
        *,
        interceptors: Sequence[ProtobufClientInterceptor] = (),
        verify: ssl.SSLContext | bool | str = True,
        timeout: float = 30.0,
        retry_invoker: RetryInvoker | None = None,
    ) -> None:
        super().__init__(
            base_url,
            interceptors=interceptors,
            verify=verify,
            timeout=timeout,
            retry_invoker=retry_invoker,
        )
        self._client.follow_redirects = False
        self._client.headers["accept-encoding"] = "identity"
        self._client.event_hooks = {"response": [require_plain]}


def require_plain(response: httpx.Response) -> None:
    """Nothing for an answer as it was asked for, of which so much is read and no more.

    httpx.DecodingError where it is compressed; httpx calls this before it reads the body.
    """
    encoding = response.headers.get("content-encoding", "identity")
    if encoding.strip().lower() != "identity":
        raise httpx.DecodingError(
            f"the coordinator's server sent an answer in the encoding {encoding!r:.100}, and none "
            "was asked for. Nothing of it was read. Tell the coordinator.",
            request=response.request,
        )
    assert isinstance(response.stream, httpx.SyncByteStream)
    response.stream = _Bounded(response.stream, response.request)


class _Bounded(httpx.SyncByteStream):
    """A body that ends with an error where it is longer than any of Flower's."""

    def __init__(self, stream: httpx.SyncByteStream, request: httpx.Request) -> None:
        self._stream = stream
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        n_bytes = 0
        for chunk in self._stream:
            n_bytes += len(chunk)
            if n_bytes > LONGEST_ANSWER_BYTES:
                raise httpx.DecodingError(
                    f"the coordinator's server sent more than {LONGEST_ANSWER_BYTES} bytes in one "
                    "answer. The rest was not read. Tell the coordinator.",
                    request=self._request,
                )
            yield chunk

    def close(self) -> None:
        self._stream.close()
