"""Where one site stands in a run: a small state machine, and the rule of exclusion."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from common.wire.field_types import CHECKED

SiteState = Literal["never-seen", "online", "training", "late", "dropped", "rejoined", "excluded"]
"""never-seen   planned, and never online yet
online       connected, with nothing to do
training     asked for something that it has not answered yet
late         the deadline passed before its answer
dropped      was online, and is not
rejoined     is online again after it was late or dropped
excluded     not asked for some rounds: it failed too often in a row"""

Happening = Literal["seen", "gone", "asked", "answered", "failed", "overdue", "shut-out", "let-in"]
"""seen, gone           whether its SuperNode is online
asked                a request went out
answered, failed     something usable came back, or not
overdue              the deadline passed
shut-out, let-in     an exclusion begins, or ends"""

Count = Annotated[int, Field(ge=0)]

_WHEN_ONLINE: Mapping[Happening, SiteState] = {
    "gone": "dropped",
    "asked": "training",
    "shut-out": "excluded",
}
TRANSITIONS: Mapping[SiteState, Mapping[Happening, SiteState]] = {
    "never-seen": {"seen": "online", "asked": "training"},
    "online": _WHEN_ONLINE,
    "training": {
        "answered": "online",
        "failed": "online",
        "overdue": "late",
        "gone": "dropped",
    },
    "late": {**_WHEN_ONLINE, "answered": "rejoined"},
    "dropped": {"seen": "rejoined", "asked": "training", "shut-out": "excluded"},
    "rejoined": _WHEN_ONLINE,
    "excluded": {"let-in": "online"},
}
"""State -> what can happen -> next state; what is not named changes nothing."""


def after(state: SiteState, happening: Happening) -> SiteState:
    """The state that follows; the same one where nothing follows from what happened."""
    return TRANSITIONS[state].get(happening, state)


@dataclass(frozen=True, kw_only=True, slots=True, config=CHECKED)
class SiteRecord:
    """What a run knows of one site; kept in every checkpoint.

    n_failed   rounds in a row in which it was asked and failed, or was late
    sits_out   rounds for which it is still excluded
    """

    state: SiteState = "never-seen"
    n_failed: Count = 0
    sits_out: Count = 0

    def after(self, happening: Happening) -> SiteRecord:
        """The record after something happened."""
        return dataclasses.replace(self, state=after(self.state, happening))

    def after_round(self, *, useful: bool, exclude_after: int, exclude_rounds: int) -> SiteRecord:
        """The record at the end of a round in which the site was asked.

        useful   whether its answer counted

        Excluded for `exclude_rounds` once `exclude_after` rounds in a row failed. Only a useful
        answer sets the count back, so a site that fails again when it is let in is excluded again
        at once: docs/adr/0029.
        """
        if useful:
            return dataclasses.replace(self, n_failed=0)
        failed = dataclasses.replace(self, n_failed=self.n_failed + 1)
        if failed.n_failed < exclude_after:
            return failed
        return dataclasses.replace(failed.after("shut-out"), sits_out=exclude_rounds)

    def after_round_excluded(self) -> SiteRecord:
        """The record of an excluded site after one more round without it."""
        left = dataclasses.replace(self, sits_out=max(0, self.sits_out - 1))
        return left if left.sits_out else left.let_in()

    def let_in(self) -> SiteRecord:
        """The record of an excluded site that is asked again; one more failure excludes it."""
        return dataclasses.replace(self.after("let-in"), sits_out=0)
