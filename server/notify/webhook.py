"""A notice to a web address."""

from __future__ import annotations

import urllib.request

from server.notify.notice import Notice

TIMEOUT_S = 30.0
_ANSWER_BYTES = 1 << 16


class WebhookChannel:
    """Posts a notice as JSON over http or https; a redirect is an error, so the address is final.

    The reason of a run's end stays at home: it may hold paths, and the address may lie outside.
    """

    name = "webhook"

    def __init__(self, address: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._opener = urllib.request.OpenerDirector()  # without files, ftp and redirects
        for handler in (
            urllib.request.ProxyHandler(),
            urllib.request.HTTPHandler(),
            urllib.request.HTTPSHandler(),
            urllib.request.UnknownHandler(),
            urllib.request.HTTPErrorProcessor(),
            urllib.request.HTTPDefaultErrorHandler(),
        ):
            self._opener.add_handler(handler)

    def send(self, notice: Notice) -> None:
        """Nothing; OSError where nobody takes it, HTTPError for any answer but 2xx."""
        request = urllib.request.Request(  # noqa: S310 # http and https only, by the settings
            self._address,
            data=notice.for_outside().as_json().encode(),
            headers={"Content-Type": "application/json"},
            method="POST",
        )
        with self._opener.open(request, timeout=self._timeout_s) as answer:
            answer.read(_ANSWER_BYTES)
