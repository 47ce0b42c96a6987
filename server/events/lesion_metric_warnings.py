"""What a run is warned of that trains with the learned lesion metric, as sentences."""

from __future__ import annotations

from common.recipe.loss import LEAST_SPEARMAN, MOST_MAE
from server.events.history import RunHistory
from server.events.round_history import MOST_DRIFT, RoundHistory
from server.events.schema import LesionMetricTrained


def missed_aims(trained: LesionMetricTrained) -> str:
    """By how much the lesion metric misses its aims, with the aims."""
    shape = " x ".join(map(str, trained.patch_shape))
    spearman = "undefined" if trained.spearman is None else f"{trained.spearman:.3f}"
    return (
        f"the lesion metric misses its aims on {trained.n_pairs} pairs of masks that it has not "
        f"seen{f' ({shape} voxels)' if shape else ''}: mean absolute error {trained.mae:.3f}, want "
        f"at most {MOST_MAE}; rank correlation {spearman}, want at least {LEAST_SPEARMAN}"
    )


def warnings_of_run(history: RunHistory) -> list[str]:
    """Aims that are missed, and rounds in which its estimate is far from true lesion F1."""
    found = []
    trained = history.lesion_metric
    used = [r.index for r in history.training if r.lesion_f1_of_patches is not None]
    if trained is not None and not trained.accepted:
        found.append(f"{missed_aims(trained)}. Training rounds that used it: {_listed(used)}")
    drifting = [r.index for r in history.training if r.drifting_sites]
    if drifting:
        found.append(
            f"the lesion metric drifts: in training rounds {_listed(drifting)} its estimate and "
            f"the true lesion F1 of the training patches differ by more than {MOST_DRIFT} at a "
            "site. There the loss rewards an estimate, and not lesions that are found"
        )
    return found


def warnings_of_round(history: RunHistory, of: RoundHistory) -> list[str]:
    """The same for one training round; empty where no site used the metric in it."""
    if of.lesion_f1_of_patches is None:
        return []
    found = []
    if history.lesion_metric is not None and not history.lesion_metric.accepted:
        found.append(f"round {of.index} trained with a lesion metric that misses its aims")
    found += [
        f"round {of.index}: at {site} the lesion metric estimates {estimated:.3f} and lesion F1 of "
        f"the training patches is {true:.3f}"
        for site, (estimated, true) in of.drifting_sites.items()
    ]
    return found


def _listed(rounds: list[int]) -> str:
    return ", ".join(map(str, rounds)) or "none"
