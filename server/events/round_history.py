"""What has happened in one round of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from server.evaluation.case_row import Value
from server.events.schema import SiteFailed, SiteReplied
from server.events.site_limited import SiteLimited

MOST_DRIFT = 0.3
"""Of the learned lesion metric from true lesion F1, before it is warned of (chosen)."""


@dataclass(slots=True)
class RoundHistory:
    """One round of one phase, as it was last begun.

    n_resumed   how often the run had been resumed when it began: with another number, the process
                is another one
    started     None where that line of the log is lost
    sites       those that were asked
    limited     whose updates were over a bound, and count as far as it
    replies_s   from the requests to the last reply, as the coordinator measured it
    head_spread_all   of the site head that it began with, over the patches of all sites together
    saved       its last checkpoint: after the held-out sites were scored, where they were
    """

    phase: str
    index: int
    n_resumed: int = 0
    started: datetime | None = None
    sites: tuple[str, ...] = ()
    replies: dict[str, SiteReplied] = field(default_factory=dict)
    failures: dict[str, SiteFailed] = field(default_factory=dict)
    limited: list[SiteLimited] = field(default_factory=list)
    replies_s: Value = None
    finished: datetime | None = None
    saved: datetime | None = None
    head_spread_all: Value = None
    n_head_outputs: int = 0

    @property
    def wall_s(self) -> float | None:
        """From its start to its last checkpoint, scoring included; None before it is closed.

        The hours in which a run was down are in no round: only a checkpoint of the process that
        began the round counts.
        """
        if self.started is None or self.finished is None:
            return None
        return ((self.saved or self.finished) - self.started).total_seconds()

    @property
    def awaited(self) -> tuple[str, ...]:
        """Sites that were asked and have neither answered nor failed, by name."""
        if self.finished is not None:
            return ()
        return tuple(sorted({*self.sites} - {*self.replies} - {*self.failures}))

    @property
    def n_answered(self) -> int:
        """Of the sites that were asked."""
        return sum(site in self.replies for site in self.sites)

    @property
    def n_wanted(self) -> int:
        """Sites that should have replied: those that were asked, and those that were not online."""
        return len({*self.sites, *self.replies, *self.failures})

    @property
    def received_bytes(self) -> int | None:
        """Size of all replies; None where no reply has one."""
        sizes = [r.size_bytes for r in self.replies.values() if r.size_bytes is not None]
        return sum(sizes) if sizes else None

    @property
    def n_negatives(self) -> int | None:
        """Hard negatives that a cascade's sites found, in voxels; None in other rounds."""
        facts = [r.fact("n_negatives") for r in self.replies.values()]
        counts = [int(count) for count in facts if count is not None]
        return sum(counts) if counts else None

    @property
    def lesion_f1_of_patches(self) -> tuple[float, float] | None:
        """The lesion metric's estimate and true lesion F1, means over the sites that used it."""
        pairs = list(self._lesion_f1_by_site().values())
        if not pairs:
            return None
        estimated, true = zip(*pairs, strict=True)
        return sum(estimated) / len(pairs), sum(true) / len(pairs)

    @property
    def drifting_sites(self) -> dict[str, tuple[float, float]]:
        """Site -> estimate and true lesion F1, where they differ by more than MOST_DRIFT."""
        return {
            site: (estimated, true)
            for site, (estimated, true) in self._lesion_f1_by_site().items()
            if abs(estimated - true) > MOST_DRIFT
        }

    def _lesion_f1_by_site(self) -> dict[str, tuple[float, float]]:
        """By name, the sites whose replies have both."""
        found = {}
        for site, reply in sorted(self.replies.items()):
            estimated, true = reply.fact("estimated_lesion_f1"), reply.fact("true_lesion_f1")
            if estimated is not None and true is not None:
                found[site] = (estimated, true)
        return found
