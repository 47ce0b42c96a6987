"""A way by which a notice reaches somebody."""

from __future__ import annotations

from typing import Protocol

from server.notify.command import CommandChannel
from server.notify.mail import MailChannel
from server.notify.notice import Notice
from server.notify.webhook import WebhookChannel
from server.run.notify_settings import Notify


class Channel(Protocol):
    """Sends one notice within a bounded time.

    name   command, webhook or email
    """

    @property
    def name(self) -> str: ...

    def send(self, notice: Notice) -> None:
        """Nothing, once the notice is handed over; raises where it could not be."""
        ...


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
