"""Held-out sites judged: the network beside the FLAIR threshold and the network before training."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from server.report.run_record import CaseResult, Evaluated, RunRecord, Value


@dataclass(frozen=True, slots=True)
class Average:
    """Of the cases in which a metric is defined; `value` is None where that is none of them."""

    value: Value
    n: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """One method at one site. n_planned counts the cases that could not be scored as well."""

    round: int
    n_planned: int
    n_scored: int
    mean_dice: Average
    median_dice: Average
    lesion_f1: Average
    lesion_sensitivity: Average
    lesion_ppv: Average


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseRow:
    """One case as the three methods did on it; None where a method was not run."""

    label: str
    network: CaseResult | None
    baseline: CaseResult | None
    untrained: CaseResult | None


@dataclass(frozen=True, kw_only=True, slots=True)
class SiteVerdict:
    """A held-out site. network: the result of the run; untrained: the network at round 0."""

    site: str
    network: Summary | None
    baseline: Summary | None
    untrained: Summary | None
    cases: tuple[CaseRow, ...]

    @property
    def dice(self) -> Value:
        """Mean Dice of the network, if it has one."""
        return self.network.mean_dice.value if self.network else None

    @property
    def margin(self) -> Value:
        """Mean Dice of the network minus that of the FLAIR threshold, if both have one."""
        baseline = self.baseline.mean_dice.value if self.baseline else None
        return None if self.dice is None or baseline is None else self.dice - baseline

    def in_words(self) -> str:
        """The verdict on this site in a sentence or two."""
        if self.network is None:
            return "No trained network has been scored here yet."
        if self.dice is None:
            return "The trained network has no defined Dice here: see the reasons by case."
        mean = self.network.mean_dice
        text = (
            f"The network has a mean Dice of {self.dice:.3f} over {mean.n} of "
            f"{self.network.n_planned} planned cases{self._since_training()}."
        )
        if self.margin is None:
            return f"{text} There is no FLAIR threshold to compare it with."
        side = "above" if self.margin > 0 else "not above"
        text = f"{text} That is {side} the FLAIR threshold ({self.dice - self.margin:.3f})."
        return text if self._same_cases() else f"{text} The two means are not over the same cases."

    def _since_training(self) -> str:
        before = self.untrained.mean_dice.value if self.untrained else None
        return "" if before is None else f" (before training {before:.3f})"

    def _same_cases(self) -> bool:
        """Whether every case in the network's mean Dice is in the threshold's, and back."""
        return all(_has_dice(row.network) == _has_dice(row.baseline) for row in self.cases)


def _has_dice(case: CaseResult | None) -> bool:
    return case is not None and case.failed is None and case.dice is not None


def site_verdict(record: RunRecord, site: str) -> SiteVerdict:
    """All that is known of one held-out site at the end of the run, or by now."""
    final = final_round(record, site)
    network = None if final is None else record.evaluations.get((site, "network", final))
    untrained = record.evaluations.get((site, "network", 0))
    thresholds = [
        e
        for (name, method, _), e in record.evaluations.items()
        if (name, method) == (site, "baseline")
    ]
    baseline = thresholds[-1] if thresholds else None
    return SiteVerdict(
        site=site,
        network=summarize(network) if network else None,
        baseline=summarize(baseline) if baseline else None,
        untrained=summarize(untrained) if untrained else None,
        cases=_case_rows(network, baseline, untrained),
    )


def final_round(record: RunRecord, site: str) -> int | None:
    """The round that counts: the selected one, else the last in which `site` was scored.

    None before the first round of training was scored.
    """
    if record.selected is not None:
        return record.selected.round
    return max((r for r in record.evaluated_rounds(site) if r > 0), default=None)


def worst_site(verdicts: Sequence[SiteVerdict]) -> SiteVerdict | None:
    """The site with the lowest mean Dice; None with fewer than two that have one."""
    judged = [(v.dice, v) for v in verdicts if v.dice is not None]
    return min(judged, key=lambda pair: pair[0])[1] if len(judged) > 1 else None


def summarize(evaluated: Evaluated) -> Summary:
    """Averages over the scored cases; a metric that is undefined in a case leaves that case out."""
    scored = [case for case in evaluated.cases if case.failed is None]
    mean, median = statistics.fmean, statistics.median
    return Summary(
        round=evaluated.round,
        n_planned=len(evaluated.cases),
        n_scored=len(scored),
        mean_dice=_average(mean, [case.dice for case in scored]),
        median_dice=_average(median, [case.dice for case in scored]),
        lesion_f1=_average(mean, [case.lesion_f1 for case in scored]),
        lesion_sensitivity=_average(mean, [case.lesion_sensitivity for case in scored]),
        lesion_ppv=_average(mean, [case.lesion_ppv for case in scored]),
    )


def _average(of: Callable[[list[float]], float], values: Sequence[Value]) -> Average:
    defined = [value for value in values if value is not None]
    return Average(of(defined) if defined else None, len(defined))


def _case_rows(*by_method: Evaluated | None) -> tuple[CaseRow, ...]:
    tables = [{case.label: case for case in e.cases} if e else {} for e in by_method]
    network, baseline, untrained = tables
    return tuple(
        CaseRow(
            label=label,
            network=network.get(label),
            baseline=baseline.get(label),
            untrained=untrained.get(label),
        )
        for label in dict.fromkeys(label for table in tables for label in table)
    )
