"""One run against another, metric by metric, over the cases both of them scored."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from common.errors import ConfigError
from common.seeds import derived_seed
from server.compare.bca import bca_interval
from server.compare.cases import RunCases, SharedCases
from server.compare.paired_tests import holm, rank_biserial, signed_rank_p

DEFAULT_METRICS = ("dice", "lesion_f1", "lesion_sensitivity", "lesion_ppv", "hd95_mm")


@dataclass(frozen=True, kw_only=True, slots=True)
class CasePair:
    """One case that both runs scored, in one metric."""

    site: str
    subject: str
    name: str
    first: float
    other: float

    @property
    def difference(self) -> float:
        """The other run minus the first."""
        return self.other - self.first


@dataclass(frozen=True, kw_only=True, slots=True)
class SiteDifference:
    """Mean difference at one site, without a test: the cases of one site are few."""

    site: str
    n: int
    mean_difference: float


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedMetric:
    """One metric of `other` against `first`; differences are other minus first.

    pairs           the cases in which both define the metric
    n_failed        shared cases that either run could not score
    n_undefined     shared cases both scored, with the metric undefined in either
    interval        95% BCa interval of the mean difference, subjects resampled within sites
    rank_biserial   effect size, -1 to 1; above 0 where the other run has the larger values
    p, p_holm       Wilcoxon's signed-rank test over cases, alone and corrected for the whole table
    Figures are None where they are undefined.
    """

    metric: str
    first: str
    other: str
    pairs: tuple[CasePair, ...]
    n_failed: int
    n_undefined: int
    interval: tuple[float, float] | None
    rank_biserial: float | None
    p: float | None
    p_holm: float | None = None

    @property
    def n(self) -> int:
        """Pairs of cases."""
        return len(self.pairs)

    @property
    def n_subjects(self) -> int:
        """Subjects they come from; the same label at two sites is two subjects."""
        return len({(pair.site, pair.subject) for pair in self.pairs})

    @property
    def mean_first(self) -> float | None:
        """Mean of the first run over the pairs."""
        return _mean([pair.first for pair in self.pairs])

    @property
    def mean_other(self) -> float | None:
        """Mean of the other run over the pairs."""
        return _mean([pair.other for pair in self.pairs])

    @property
    def mean_difference(self) -> float | None:
        """Mean of other minus first."""
        return _mean([pair.difference for pair in self.pairs])

    @property
    def by_site(self) -> list[SiteDifference]:
        """The mean difference at each site that has a pair."""
        by_site: dict[str, list[float]] = {}
        for pair in self.pairs:
            by_site.setdefault(pair.site, []).append(pair.difference)
        return [
            SiteDifference(site=site, n=len(values), mean_difference=statistics.fmean(values))
            for site, values in by_site.items()
        ]


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Every run after the first against the first, in every metric.

    n_cases    shared cases, scored or not
    left_out   label of a run -> cases of it that another run does not have
    """

    labels: tuple[str, ...]
    n_cases: int
    sites: tuple[str, ...]
    left_out: Mapping[str, int]
    metrics: tuple[PairedMetric, ...]


def compare(shared: SharedCases, *, metrics: Sequence[str] | None = None) -> Comparison:
    """The first run against each other one; ConfigError for a metric that no table has.

    metrics   columns of the tables; None takes DEFAULT_METRICS, undefined where a table lacks one
    """
    if metrics is not None:
        _require_known(metrics, shared.runs)
    first, *others = shared.runs
    lines = [
        _paired_metric(metric, first, other)
        for other in others
        for metric in dict.fromkeys(metrics or DEFAULT_METRICS)
    ]
    corrected = holm([line.p for line in lines])
    return Comparison(
        labels=tuple(run.label for run in shared.runs),
        n_cases=shared.n,
        sites=tuple(shared.sites),
        left_out=shared.left_out,
        metrics=tuple(
            dataclasses.replace(line, p_holm=p) for line, p in zip(lines, corrected, strict=True)
        ),
    )


def _paired_metric(metric: str, first: RunCases, other: RunCases) -> PairedMetric:
    pairs = []
    n_failed = n_undefined = 0
    for key, row in first.rows.items():
        opposite = other.rows[key]
        a, b = row.metric(metric), opposite.metric(metric)
        if row.failed is not None or opposite.failed is not None:
            n_failed += 1
        elif a is None or b is None:
            n_undefined += 1
        else:
            pairs.append(
                CasePair(
                    site=row.site,
                    subject=row.subject,
                    name=row.name,
                    first=float(a),
                    other=float(b),
                )
            )
    differences = [pair.difference for pair in pairs]
    return PairedMetric(
        metric=metric,
        first=first.label,
        other=other.label,
        pairs=tuple(pairs),
        n_failed=n_failed,
        n_undefined=n_undefined,
        interval=bca_interval(_by_subject(pairs), seed=derived_seed(0, "compare", metric)),
        rank_biserial=rank_biserial(differences),
        p=signed_rank_p(differences),
    )


def _by_subject(pairs: Sequence[CasePair]) -> list[list[list[float]]]:
    """Site -> subject -> the differences of the subject's sessions."""
    sites: dict[str, dict[str, list[float]]] = {}
    for pair in pairs:
        sites.setdefault(pair.site, {}).setdefault(pair.subject, []).append(pair.difference)
    return [list(subjects.values()) for subjects in sites.values()]


def _require_known(metrics: Sequence[str], runs: Sequence[RunCases]) -> None:
    columns = dict.fromkeys(
        name for run in runs for row in run.rows.values() for name in row.metrics
    )
    if unknown := [metric for metric in metrics if metric not in columns]:
        raise ConfigError(
            f"--metric {', '.join(unknown)}: no such column. The tables have {', '.join(columns)}."
        )


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None
