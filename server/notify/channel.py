"""The channels that deliver a notice: a program, a web address, e-mail."""

from __future__ import annotations

import smtplib
import subprocess
import urllib.request
from collections.abc import Sequence
from email.message import EmailMessage
from typing import Protocol

from server.notify.notice import Notice
from server.run.notify_settings import Notify

TIMEOUT_S = 30.0
_ANSWER_BYTES = 1 << 16


class Channel(Protocol):
    """Sends one notice within a bounded time.

    name   command, webhook or email
    """

    @property
    def name(self) -> str: ...

    def send(self, notice: Notice) -> None:
        """Nothing, once the notice is handed over; raises where it could not be."""
        ...


class CommandChannel:
    """Starts a program, without a shell, and gives it the notice as one line of JSON.

    What the program writes is not kept.
    """

    name = "command"

    def __init__(self, command: Sequence[str], *, timeout_s: float = TIMEOUT_S) -> None:
        self._command = list(command)
        self._timeout_s = timeout_s

    def send(self, notice: Notice) -> None:
        """Nothing; CalledProcessError, TimeoutExpired or OSError where the program fails."""
        subprocess.run(  # noqa: S603 # the coordinator's own setting, no shell
            self._command,
            input=(notice.as_json() + "\n").encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=self._timeout_s,
            check=True,
        )


class WebhookChannel:
    """Posts a notice as JSON over http or https; a redirect is an error, so the address is final.

    The reason of a run's end is not sent: it may hold paths, and the address may lie outside.
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
        """Nothing; OSError where it cannot be delivered, HTTPError for any answer but 2xx."""
        request = urllib.request.Request(  # noqa: S310 # http and https only, by the settings
            self._address,
            data=notice.for_outside().as_json().encode(),
            headers={"Content-Type": "application/json"},
            method="POST",
        )
        with self._opener.open(request, timeout=self._timeout_s) as answer:
            answer.read(_ANSWER_BYTES)


class MailChannel:
    """Hands a plain-text mail to a server that takes it without a password."""

    name = "email"

    def __init__(self, *, to: Sequence[str], sender: str, host: str, port: int) -> None:
        self._to = list(to)
        self._sender = sender
        self._host = host
        self._port = port

    def send(self, notice: Notice) -> None:
        """Nothing; OSError or SMTPException where the server does not take it."""
        mail = EmailMessage()
        about = notice.status or notice.site
        mail["Subject"] = f"LesionFed run {notice.run}: {notice.what}" + (
            f" ({about})" if about else ""
        )
        mail["From"] = self._sender
        mail["To"] = ", ".join(self._to)
        mail.set_content(notice.as_text())
        with smtplib.SMTP(self._host, self._port, timeout=TIMEOUT_S) as server:
            server.send_message(mail)


def channels_of(settings: Notify) -> list[Channel]:
    """Every way that the settings name."""
    channels: list[Channel] = []
    if settings.command:
        channels.append(CommandChannel(settings.command))
    if settings.webhook is not None:
        channels.append(WebhookChannel(settings.webhook))
    if settings.email_to and settings.email_from is not None:
        channels.append(
            MailChannel(
                to=settings.email_to,
                sender=settings.email_from,
                host=settings.smtp_host,
                port=settings.smtp_port,
            )
        )
    return channels
