"""How each method does at hospitals that never took part: the mean over them, and the worst one."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.arrays import FloatArray
from common.seeds import derived_seed
from server.evaluation.case_row import CaseRow
from server.studies.run_results import RunResult

METRICS = ("lesion_f1", "dice")
N_RESAMPLES = 4_000
LEVEL = 0.95


@dataclass(frozen=True, kw_only=True, slots=True)
class UnseenFigure:
    """One metric of one method over the unseen sites.

    by_site       site -> mean over its subjects that define the metric; a subject is the mean over
                  its sessions and over seeds
    n_defined     cases that define the metric, each once a seed: one without lesions does not
    mean          of the sites' means, each site alike; None where no case defines it
    low, high     95 % percentile interval; None with fewer than 2 subjects a site and 2 seeds
    """

    by_site: Mapping[str, float]
    n_defined: int
    mean: float | None
    low: float | None
    high: float | None

    @property
    def worst(self) -> tuple[str, float] | None:
        """The site with the lowest mean; None without a site."""
        return min(self.by_site.items(), key=lambda item: item[1], default=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class MethodAtUnseen:
    """One method at the sites that it never saw.

    n_seeds     with which at least one case was scored: not those of failed runs
    n_planned   cases, each once a seed, those of failed runs too
    figures     one for each of METRICS
    """

    method: str
    n_seeds: int
    n_planned: int
    n_scored: int
    figures: Mapping[str, UnseenFigure]
    wall_s: float | None
    """Median over its completed runs."""


def methods_at_unseen(results: Sequence[RunResult]) -> list[MethodAtUnseen]:
    """Each method, in the order of the plan; the same results give the same figures.

    An interval resamples the seeds, and within each site the subjects, all sessions of a subject
    together; the sites are those of the study, so that it says nothing of other hospitals. With one
    seed it says nothing of other trainings either.
    """
    by_method: dict[str, list[RunResult]] = {}
    for result in results:
        by_method.setdefault(result.run.method, []).append(result)
    return [_method(name, of_method) for name, of_method in by_method.items()]


def unseen_rows(lines: Sequence[MethodAtUnseen]) -> list[dict[str, Any]]:
    """One flat row a method, undefined figures None."""
    return [
        {
            "variant": line.method,
            "n_seeds": line.n_seeds,
            "n_planned": line.n_planned,
            "n_scored": line.n_scored,
        }
        | {
            f"{metric}_{part}": value
            for metric, figure in line.figures.items()
            for part, value in _parts(figure)
        }
        | {"wall_s": line.wall_s}
        for line in lines
    ]


def _parts(figure: UnseenFigure) -> list[tuple[str, float | str | None]]:
    site, mean = figure.worst or (None, None)
    return [
        ("mean", figure.mean),
        ("low", figure.low),
        ("high", figure.high),
        ("n", figure.n_defined),
        ("worst_site", site),
        ("worst", mean),
        *((f"at_{name}", value) for name, value in figure.by_site.items()),
    ]


def _method(name: str, results: Sequence[RunResult]) -> MethodAtUnseen:
    rows = [(result.run.seed, row) for result in results for row in result.rows]
    outcomes = [result.outcome for result in results]
    walls = [o.wall_s for o in outcomes if o.failed is None and o.wall_s is not None]
    return MethodAtUnseen(
        method=name,
        n_seeds=len({seed for seed, row in rows if row.failed is None}),
        n_planned=len(rows),
        n_scored=sum(row.failed is None for _, row in rows),
        figures={metric: _figure(rows, metric) for metric in METRICS},
        wall_s=statistics.median(walls) if walls else None,
    )


def _figure(rows: Sequence[tuple[int, CaseRow]], metric: str) -> UnseenFigure:
    sites = _by_site(rows, metric)
    by_site = {site: _mean_of_subjects(values) for site, values in sites.items()}
    if not by_site:
        return UnseenFigure(by_site={}, n_defined=0, mean=None, low=None, high=None)
    mean = statistics.fmean(by_site.values())
    ends = _interval(list(sites.values()))
    low, high = (None, None) if ends is None else ends
    n_defined = sum(row.metric(metric) is not None for _, row in rows)
    return UnseenFigure(by_site=by_site, n_defined=n_defined, mean=mean, low=low, high=high)


def _by_site(rows: Sequence[tuple[int, CaseRow]], metric: str) -> dict[str, FloatArray]:
    """Site -> (subjects, seeds), mean over sessions; NaN where nothing is defined.

    A site, a subject or a seed of which nothing is defined is left out.
    """
    found: dict[str, dict[str, dict[int, list[float]]]] = {}
    seeds = sorted({seed for seed, row in rows if row.metric(metric) is not None})
    for seed, row in rows:
        if (value := row.metric(metric)) is not None:
            subjects = found.setdefault(row.site, {})
            subjects.setdefault(row.subject, {}).setdefault(seed, []).append(float(value))
    return {
        site: np.array(
            [
                [statistics.fmean(of[seed]) if seed in of else np.nan for seed in seeds]
                for of in subjects.values()
            ]
        )
        for site, subjects in found.items()
    }


def _mean_of_subjects(values: FloatArray) -> float:
    return float(np.nanmean(np.nanmean(values, axis=1)))


def _interval(sites: Sequence[FloatArray]) -> tuple[float, float] | None:
    """Ends of the percentile interval of the mean over sites; None where nothing varies."""
    n_seeds = sites[0].shape[1]
    if n_seeds < 2 and max(len(site) for site in sites) < 2:
        return None
    random = np.random.default_rng(derived_seed(0, "unseen-interval"))
    seeds = random.multinomial(n_seeds, [1 / n_seeds] * n_seeds, size=N_RESAMPLES)
    means = np.zeros((N_RESAMPLES, len(sites)))
    defined = np.zeros((N_RESAMPLES, len(sites)), dtype=bool)
    for place, site in enumerate(sites):
        subjects = random.multinomial(len(site), [1 / len(site)] * len(site), size=N_RESAMPLES)
        known = np.isfinite(site)
        n_known = seeds @ known.T
        of_subject = seeds @ np.where(known, site, 0.0).T / np.maximum(n_known, 1)
        n_drawn = (subjects * (n_known > 0)).sum(axis=1)
        means[:, place] = (subjects * of_subject).sum(axis=1) / np.maximum(n_drawn, 1)
        defined[:, place] = n_drawn > 0
    some = defined.any(axis=1)  # of a resample may be drawn what is undefined alone
    over_sites = means[some].sum(axis=1) / defined[some].sum(axis=1)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(over_sites, (tail, 1 - tail))
    return float(low), float(high)
