"""A site whose update counts for less than it asked for."""

from __future__ import annotations

from typing import Literal

from server.events.run_event import SiteEvent

Limit = Literal["cases", "lesion-volume", "share", "length"]


class SiteLimited(SiteEvent):
    """What a site sent in a training round was over a bound, and counts as far as the bound.

    limit    cases, lesion-volume (mL): what it declared before training; share: of the round's
             mean; length: Euclidean, of the arrays of one kind
    kind     which arrays, where their length was over its bound; else empty
    """

    event: Literal["site-limited"] = "site-limited"
    limit: Limit
    kind: str = ""
    found: float
    allowed: float

    @property
    def in_words(self) -> str:
        """What was over which bound, and what counts."""
        found, allowed = f"{self.found:.4g}", f"{self.allowed:.4g}"
        match self.limit:
            case "cases":
                return (
                    f"{self.site} says it trained on {found} cases and counts as {allowed}, as "
                    "many as were declared before training"
                )
            case "lesion-volume":
                return (
                    f"{self.site} says it trained on {found} mL of lesion and counts as {allowed} "
                    "mL, as much as was declared before training"
                )
            case "share":
                return (
                    f"{self.site} would be {100 * self.found:.4g} % of the mean and is "
                    f"{100 * self.allowed:.4g} % (federation.largest_share)"
                )
            case "length":
                return (
                    f"{self.site} sent an update ({self.kind}) of length {found}, which is "
                    f"shortened to {allowed} (federation.longest_update)"
                )
