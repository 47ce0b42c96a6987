"""One check before a run: what it found, and a list of checks of which some depend on others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from common.errors import printable_lines

Status = Literal["passed", "warning", "problem", "not-checked"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One line of a preflight.

    name     what was checked
    status   warning: a run can start, look at it; not-checked: could not be tried, `found` says why
    found    a sentence with the figures
    fix      what to do next; None where there is nothing to do
    """

    name: str
    status: Status
    found: str
    fix: str | None = None

    def __post_init__(self) -> None:
        # a name out of a certificate, what a server answered: `found` may quote it
        object.__setattr__(self, "found", printable_lines(self.found))

    @property
    def good(self) -> bool:
        """Whether what depends on this can be tried."""
        return self.status in ("passed", "warning")


def passed(name: str, found: str) -> CheckResult:
    """Nothing to do."""
    return CheckResult(name, "passed", found)


def warning(name: str, found: str, fix: str) -> CheckResult:
    """A run can start; look at it."""
    return CheckResult(name, "warning", found, fix)


def problem(name: str, found: str, fix: str) -> CheckResult:
    """A run cannot work like this."""
    return CheckResult(name, "problem", found, fix)


def not_checked(name: str, found: str) -> CheckResult:
    """It could not be tried, or depends on something that has to be fixed first."""
    return CheckResult(name, "not-checked", found)


@dataclass(frozen=True, slots=True)
class Step:
    """One check to be made.

    name        what is checked, for the case that it is not tried
    check       makes the check
    essential   where it is not good, nothing after it is tried
    """

    name: str
    check: Callable[[], CheckResult]
    essential: bool = False


def run_steps(steps: Iterable[Step]) -> Iterator[CheckResult]:
    """Each step's result; what depends on a failed step is named and not tried."""
    failed: CheckResult | None = None
    for step in steps:
        if failed is not None:
            yield not_checked(step.name, f"{failed.name} comes first")
            continue
        result = step.check()
        yield result
        if step.essential and not result.good:
            failed = result
