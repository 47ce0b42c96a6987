"""Held-out sites judged: the network beside one intensity threshold and itself before training."""

from __future__ import annotations

from dataclasses import dataclass

from server.compare.cases import on_one_grid
from server.evaluation.case_row import CaseRow, Value
from server.evaluation.site_summary import SiteSummary, summarize_site
from server.events.history import RunHistory
from server.events.schema import LAST_ROUND, Evaluated
from server.events.threshold_events import ThresholdKept


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparedCase:
    """One case as the three methods did on it; None where a method was not run."""

    name: str
    network: CaseRow | None
    baseline: CaseRow | None
    untrained: CaseRow | None


@dataclass(frozen=True, kw_only=True, slots=True)
class SiteVerdict:
    """A held-out site. network: the result of the run, of `round`; untrained: that at round 0."""

    site: str
    round: int | None
    network: SiteSummary | None
    baseline: SiteSummary | None
    untrained: SiteSummary | None
    cases: tuple[ComparedCase, ...]

    @property
    def dice(self) -> Value:
        """Mean Dice of the network, if it has one."""
        return _mean_dice(self.network)

    @property
    def margin(self) -> Value:
        """Mean Dice of the network minus that of the intensity threshold, if both have one.

        None as well where one of them has not been scored on the scanner's own grid yet.
        """
        baseline = _mean_dice(self.baseline)
        if self.dice is None or baseline is None or not self._on_one_grid():
            return None
        return self.dice - baseline

    def in_words(self, threshold_name: str) -> str:
        """The verdict on this site in a sentence or two.

        threshold_name   the baseline, such as "FLAIR threshold"
        """
        if self.network is None:
            return "No trained network has been scored here yet."
        if self.dice is None:
            return "The trained network has no defined Dice here: see the reasons by case."
        n = self.network.metric("dice").n
        text = (
            f"The network has a mean Dice of {self.dice:.3f} over {n} of "
            f"{self.network.n_planned} planned cases{self._since_training()}."
        )
        if self.margin is None:
            return f"{text} There is no {threshold_name} to compare it with."
        side = "above" if self.margin > 0 else "not above"
        text = f"{text} That is {side} the {threshold_name} ({self.dice - self.margin:.3f})."
        return text if self._same_cases() else f"{text} The two means are not over the same cases."

    def _since_training(self) -> str:
        before = _mean_dice(self.untrained)
        if before is None:
            return ""
        on_scanner_grid = self.network is not None and self.network.n_on_scanner_grid > 0
        where = ", on the prepared grid" if on_scanner_grid else ""
        return f" (before training {before:.3f}{where})"

    def _on_one_grid(self) -> bool:
        return all(
            case.network is None
            or case.baseline is None
            or on_one_grid(case.network, case.baseline)
            for case in self.cases
        )

    def _same_cases(self) -> bool:
        """Whether every case in the network's mean Dice is in the threshold's, and back."""
        return all(_has_dice(row.network) == _has_dice(row.baseline) for row in self.cases)


def _mean_dice(summary: SiteSummary | None) -> float | None:
    return None if summary is None else summary.metric("dice").mean


def _has_dice(case: CaseRow | None) -> bool:
    return case is not None and case.metric("dice") is not None


def site_verdict(history: RunHistory, site: str) -> SiteVerdict:
    """The figures of one held-out site at the end of the run, or of the last round by now."""
    final = final_round(history, site)
    network = None if final is None else history.evaluations.get((site, "network", final))
    untrained = history.evaluations.get((site, "network", 0))
    thresholds = [
        e
        for (name, method, _), e in history.evaluations.items()
        if (name, method) == (site, "baseline")
    ]
    baseline = thresholds[-1] if thresholds else None
    return SiteVerdict(
        site=site,
        round=final,
        network=summarize(network),
        baseline=summarize(baseline),
        untrained=summarize(untrained),
        cases=_compared(network, baseline, untrained),
    )


def missed_choices(history: RunHistory) -> list[str]:
    """A sentence or two for each choice that nothing could make, with what to change.

    The round where it is the last one for want of validation cases; the decision threshold where
    the recipe has it chosen and its own stayed.
    """
    missed = []
    selected, kept = history.selected, history.decision_threshold
    announced = {name: event.otherwise for name, event in history.announced.items()}
    if selected is not None and selected.by == LAST_ROUND:
        why = announced.get("round") or "no case for validation could be scored."
        missed.append(f"No round was chosen: {why}")
    if isinstance(kept, ThresholdKept):
        why = announced.get("threshold") or f"{kept.threshold:g} stays, for {kept.reason}."
        missed.append(f"No decision threshold was chosen: {why}")
    return missed


def final_round(history: RunHistory, site: str) -> int | None:
    """The round that counts: the selected one, else the last in which `site` was scored.

    None before the first round of training was scored.
    """
    if history.selected is not None:
        return history.selected.round
    return max((r for r in history.evaluated_rounds(site) if r > 0), default=None)


def summarize(evaluated: Evaluated | None) -> SiteSummary | None:
    """The site's figures in one evaluation; None where there was none, or no case was planned."""
    return summarize_site(evaluated.cases) if evaluated is not None and evaluated.cases else None


def _compared(*by_method: Evaluated | None) -> tuple[ComparedCase, ...]:
    tables = [{case.name: case for case in e.cases} if e else {} for e in by_method]
    network, baseline, untrained = tables
    return tuple(
        ComparedCase(
            name=name,
            network=network.get(name),
            baseline=baseline.get(name),
            untrained=untrained.get(name),
        )
        for name in dict.fromkeys(name for table in tables for name in table)
    )
