"""What one look before a run has found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["passed", "warning", "problem", "not-checked"]


@dataclass(frozen=True, slots=True)
class Check:
    """One line of a preflight.

    name     what was looked at
    status   warning: a run can start, look at it; not-checked: could not be tried, `found` says why
    found    in words, with the figures
    fix      what to do next; None where there is nothing to do
    """

    name: str
    status: Status
    found: str
    fix: str | None = None

    @property
    def good(self) -> bool:
        """Whether what depends on this can be tried."""
        return self.status in ("passed", "warning")


def passed(name: str, found: str) -> Check:
    """Nothing to do."""
    return Check(name, "passed", found)


def warning(name: str, found: str, fix: str) -> Check:
    """A run can start; look at it."""
    return Check(name, "warning", found, fix)


def problem(name: str, found: str, fix: str) -> Check:
    """A run cannot work like this."""
    return Check(name, "problem", found, fix)


def not_checked(name: str, found: str) -> Check:
    """It could not be tried, or stands behind something that is mended first."""
    return Check(name, "not-checked", found)
