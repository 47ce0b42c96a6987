"""How the site probe of a run ended: in figures, or without."""

from __future__ import annotations

from typing import Literal

from server.events.run_event import RunEvent


class SiteProbed(RunEvent):
    """How well a linear probe tells the site from the encoder's features, see `probe_accuracy`.

    accuracy     mean over the sites of `recalls`, each site's share of patches that is named right
    low, high    its 95 % interval; chance: one over the number of sites
    n_subjects   training subjects in all
    not_probed   training sites that sent no sums, such as those with too few subjects
    """

    event: Literal["site-probed"] = "site-probed"
    accuracy: float
    low: float
    high: float
    chance: float
    n_subjects: int
    recalls: dict[str, float]
    not_probed: tuple[str, ...] = ()

    @property
    def tells_sites(self) -> bool:
        """Whether the whole interval is above chance."""
        return self.low > self.chance


class SiteNotProbed(RunEvent):
    """Too few sites could take part in the site probe."""

    event: Literal["site-not-probed"] = "site-not-probed"
    reason: str
