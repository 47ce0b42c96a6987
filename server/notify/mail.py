"""A notice by e-mail."""

from __future__ import annotations

import smtplib
from collections.abc import Sequence
from email.message import EmailMessage

from server.notify.notice import Notice

TIMEOUT_S = 30.0


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
        mail.set_content(notice.in_words())
        with smtplib.SMTP(self._host, self._port, timeout=TIMEOUT_S) as server:
            server.send_message(mail)
