"""The curves of a run: what each line is, and at which round each of its values belongs."""

from __future__ import annotations

import dataclasses

from common.figures.curves import Chart, Curve
from server.events.history import RunHistory
from server.report.verdict import summarize


def run_charts(history: RunHistory, *, threshold_name: str) -> list[Chart]:
    """Every chart that has something to show, in reading order.

    threshold_name   the baseline, such as "FLAIR threshold"
    """
    chosen = history.selected.round if history.selected else None
    charts = [
        Chart(
            title="Training loss",
            y_label="mean loss of the round",
            curves=_by_site(history, "loss"),
            levels={},
            marked_round=chosen,
        ),
        Chart(
            title="Dice",
            y_label="mean Dice",
            curves=[*_held_out(history, "dice"), *_own_validation(history)],
            y_range=(0.0, 1.0),
            levels=_thresholds(history, "dice", threshold_name),
            marked_round=chosen,
        ),
        Chart(
            title="Lesion F1",
            y_label="mean lesion F1",
            curves=_held_out(history, "lesion_f1"),
            y_range=(0.0, 1.0),
            levels=_thresholds(history, "lesion_f1", threshold_name),
            marked_round=chosen,
        ),
        Chart(
            title="Lesion F1 of the training patches: estimated and true",
            y_label="mean of the round",
            curves=_estimated_and_true(history),
            y_range=(0.0, 1.0),
            levels={},
            marked_round=chosen,
        ),
        Chart(
            title="Spread of the site head's answer",
            y_label="standard deviation",
            curves=[*_by_site(history, "head_spread"), *_over_all_sites(history)],
            levels={},
            marked_round=chosen,
        ),
        Chart(
            title="Gradient of the site loss beside that of the other losses",
            y_label="ratio on the encoder, before a bound",
            curves=_by_site(history, "site_gradient_ratio"),
            levels={},
            marked_round=chosen,
        ),
    ]
    between = history.second_network_after
    divided = {} if between is None else {between: "second network"}
    return [
        dataclasses.replace(chart, divided_after=divided) for chart in charts if not chart.is_empty
    ]


def _by_site(history: RunHistory, fact: str) -> list[Curve]:
    """One curve a training site, of a number in its replies."""
    curves: list[Curve] = []
    for site in history.sites("train"):
        pairs = [
            (r.index, r.replies[site].fact(fact)) for r in history.training if site in r.replies
        ]
        if pairs:
            rounds, values = zip(*pairs, strict=True)
            curves.append(Curve(label=site, rounds=rounds, values=values))
    return curves


def _over_all_sites(history: RunHistory) -> list[Curve]:
    """The spread over the patches of all sites together: also between the sites."""
    rounds = tuple(r.index for r in history.training)
    values = tuple(r.head_spread_all for r in history.training)
    curve = Curve(label="all sites together", rounds=rounds, values=values, emphasis=True)
    return [curve] if curve.defined else []


def _estimated_and_true(history: RunHistory) -> list[Curve]:
    """Two curves a site that trains with the lesion metric: the estimate, and the true value.

    Where they drift apart, the segmenter has left the masks that the network learned from.
    """
    estimated = {curve.label: curve for curve in _by_site(history, "estimated_lesion_f1")}
    true = {curve.label: curve for curve in _by_site(history, "true_lesion_f1")}
    return [
        dataclasses.replace(curve, label=f"{site} ({kind})", companion=kind == "true")
        for site in estimated
        for kind, curve in (("estimated", estimated[site]), ("true", true[site]))
        if curve.defined
    ]


def _own_validation(history: RunHistory) -> list[Curve]:
    """Dice on the cases that training sites keep back.

    A site scores the parameters it receives: those of the round before the one it replies in.
    """
    return [
        Curve(
            label=f"{curve.label} (own validation)",
            rounds=tuple(r - 1 for r in curve.rounds),
            values=curve.values,
        )
        for curve in _by_site(history, "validation_dice")
        if curve.defined
    ]


def _held_out(history: RunHistory, metric: str) -> list[Curve]:
    """One curve a held-out site, of a metric's mean on the prepared grid; the unseen stand out."""
    curves: list[Curve] = []
    for role in ("unseen", "validation"):
        for site in history.sites(role):
            if rounds := history.evaluated_rounds(site):
                scored = [history.on_prepared_grid.get((site, "network", r)) for r in rounds]
                summaries = [summarize(evaluated) for evaluated in scored]
                curves.append(
                    Curve(
                        label=f"{site} ({role})",
                        rounds=tuple(rounds),
                        values=tuple(s.metric(metric).mean if s else None for s in summaries),
                        emphasis=role == "unseen",
                    )
                )
    return curves


def _thresholds(history: RunHistory, metric: str, name: str) -> dict[str, float]:
    """The baseline's mean at each unseen site, on the grid of the curves."""
    levels: dict[str, float] = {}
    for (site, method, _), evaluated in history.on_prepared_grid.items():
        summary = summarize(evaluated)
        level = summary.metric(metric).mean if summary else None
        if method == "baseline" and evaluated.role == "unseen" and level is not None:
            levels[f"{site}: {name}"] = level
    return levels
