"""Checks in an order in which some stand on others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from common.preflight.check import Check, not_checked


@dataclass(frozen=True, slots=True)
class Step:
    """One check to be made.

    name        what is looked at, should it not come to that
    look        makes the check
    essential   where it is not good, nothing after it is tried
    """

    name: str
    look: Callable[[], Check]
    essential: bool = False


def taken(steps: Iterable[Step]) -> Iterator[Check]:
    """Each step's check; what stands behind a fault is named and not tried."""
    fault: Check | None = None
    for step in steps:
        if fault is not None:
            yield not_checked(step.name, f"{fault.name} comes first")
            continue
        check = step.look()
        yield check
        if step.essential and not check.good:
            fault = check
