"""The curves of a run: what each line is, and at which round each of its values belongs."""

from __future__ import annotations

from common.figures.curves import Chart, Curve
from server.report.run_record import RunRecord
from server.report.verdict import SiteVerdict, summarize


def run_charts(record: RunRecord, unseen: list[SiteVerdict]) -> list[Chart]:
    """Every chart that has something to show, in reading order."""
    chosen = record.selected.round if record.selected else None
    charts = [
        Chart(
            title="Training loss",
            y_label="mean loss of the round",
            curves=_by_site(record, "loss"),
            levels={},
            marked_round=chosen,
        ),
        Chart(
            title="Dice",
            y_label="mean Dice",
            curves=[*_held_out(record, "dice"), *_own_validation(record)],
            y_range=(0.0, 1.0),
            levels=_thresholds(unseen, "dice"),
            marked_round=chosen,
        ),
        Chart(
            title="Lesion F1",
            y_label="mean lesion F1",
            curves=_held_out(record, "lesion_f1"),
            y_range=(0.0, 1.0),
            levels=_thresholds(unseen, "lesion_f1"),
            marked_round=chosen,
        ),
        Chart(
            title="Spread of the site head's answer",
            y_label="standard deviation",
            curves=_by_site(record, "head_spread"),
            levels={},
            marked_round=chosen,
        ),
    ]
    return [chart for chart in charts if not chart.is_empty]


def _by_site(record: RunRecord, fact: str) -> list[Curve]:
    """One curve a training site, of a number in its replies."""
    curves: list[Curve] = []
    for site in record.sites("train"):
        pairs = [
            (r.index, r.replies[site].fact(fact)) for r in record.training if site in r.replies
        ]
        if pairs:
            rounds, values = zip(*pairs, strict=True)
            curves.append(Curve(label=site, rounds=rounds, values=values))
    return curves


def _own_validation(record: RunRecord) -> list[Curve]:
    """Dice on the cases that training sites keep back.

    A site scores the parameters it receives: those of the round before the one it replies in.
    """
    return [
        Curve(
            label=f"{curve.label} (own validation)",
            rounds=tuple(r - 1 for r in curve.rounds),
            values=curve.values,
        )
        for curve in _by_site(record, "validation_dice")
        if curve.defined
    ]


def _held_out(record: RunRecord, metric: str) -> list[Curve]:
    """One curve a held-out site, of a metric's mean; the unseen ones stand out."""
    curves: list[Curve] = []
    for role in ("unseen", "validation"):
        for site in record.sites(role):
            if rounds := record.evaluated_rounds(site):
                summaries = [summarize(record.evaluations[site, "network", r]) for r in rounds]
                curves.append(
                    Curve(
                        label=f"{site} ({role})",
                        rounds=tuple(rounds),
                        values=tuple(s.metric(metric).mean if s else None for s in summaries),
                        emphasis=role == "unseen",
                    )
                )
    return curves


def _thresholds(unseen: list[SiteVerdict], metric: str) -> dict[str, float]:
    levels: dict[str, float] = {}
    for verdict in unseen:
        level = verdict.baseline.metric(metric).mean if verdict.baseline else None
        if level is not None:
            levels[f"{verdict.site}: FLAIR threshold"] = level
    return levels
