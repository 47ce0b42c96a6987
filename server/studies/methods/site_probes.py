"""Whether each method's features tell the sites apart: its networks' site probes."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from server.events.site_probed import SiteProbed
from server.studies.run_results import RunResult

COLUMNS = ("variant", "seed", "fold", "accuracy", "low", "high", "chance", "n_subjects")


@dataclass(frozen=True, kw_only=True, slots=True)
class MethodProbe:
    """One method over its networks that were probed.

    accuracy, chance   means over them
    n_told             networks whose whole interval is above chance
    """

    method: str
    n_probed: int
    accuracy: float
    chance: float
    n_told: int


def probe_rows(results: Sequence[RunResult]) -> list[dict[str, Any]]:
    """One row for each network that was probed, in the order of the plan."""
    return [
        {
            "variant": result.run.method,
            "seed": result.run.seed,
            "fold": result.run.fold,
            "accuracy": probe.accuracy,
            "low": probe.low,
            "high": probe.high,
            "chance": probe.chance,
            "n_subjects": probe.n_subjects,
        }
        for result in results
        if (probe := _probe_of(result)) is not None
    ]


def probes_by_method(results: Sequence[RunResult]) -> list[MethodProbe]:
    """Each method that has a probed network, in the order of the plan."""
    by_method: dict[str, list[SiteProbed]] = {}
    for result in results:
        if (probe := _probe_of(result)) is not None:
            by_method.setdefault(result.run.method, []).append(probe)
    return [
        MethodProbe(
            method=method,
            n_probed=len(probes),
            accuracy=statistics.fmean(probe.accuracy for probe in probes),
            chance=statistics.fmean(probe.chance for probe in probes),
            n_told=sum(probe.tells_sites for probe in probes),
        )
        for method, probes in by_method.items()
    ]


def _probe_of(result: RunResult) -> SiteProbed | None:
    probe = None if result.record is None else result.record.site_probe
    return probe if isinstance(probe, SiteProbed) else None
