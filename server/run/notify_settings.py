"""Who is notified when a run stalls, loses a site or ends."""

from __future__ import annotations

import urllib.parse
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from common.settings import Settings

Address = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")]


class Notify(Settings):
    """Who is notified when a run stalls, loses a site or ends; no one unless something is set."""

    command: tuple[str, ...] = ()
    """A program with its arguments; what happened comes as one line of JSON on its input."""
    webhook: str | None = None
    """An http or https address; the same JSON is posted there, without the reason of a run's end:
    that may hold paths of the coordinator, and the address may lie outside the hospital."""
    email_to: tuple[Address, ...] = ()
    """Plain text, with the reason: these are the coordinator's own people."""
    email_from: Address | None = None
    smtp_host: str = "localhost"
    """A mail server that takes mail from this machine without a password."""
    smtp_port: Annotated[int, Field(ge=1, le=65535)] = 25

    @field_validator("webhook")
    @classmethod
    def _is_a_web_address(cls, webhook: str | None) -> str | None:
        if webhook is not None:
            parts = urllib.parse.urlsplit(webhook)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError(f"want http://... or https://..., got {webhook!r}")
        return webhook

    @model_validator(mode="after")
    def _mail_has_a_sender(self) -> Self:
        if self.email_to and self.email_from is None:
            raise ValueError("email_to is set and email_from is not; want both")
        return self
