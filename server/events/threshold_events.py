"""How the decision threshold of a run was decided: chosen at the sites, or kept."""

from __future__ import annotations

from typing import Literal

from server.events.run_event import RunEvent


class ThresholdChosen(RunEvent):
    """The decision threshold chosen on cases that no network was trained on, and its sweep.

    by           dice or lesion_f1: which mean decided, see `common/metrics/threshold_choice.py`
    split        whose cases were swept
    thresholds   the grid, rising; a mean of each kind for each
    smallest_mm3   the volume below which predicted lesions are dropped, if it was chosen too
    best_by_smallest   for each of its grid the best mean that a threshold reaches
    """

    event: Literal["threshold-chosen"] = "threshold-chosen"
    threshold: float
    by: Literal["dice", "lesion_f1"]
    split: str
    n_cases: int
    thresholds: tuple[float, ...]
    mean_dice: tuple[float, ...]
    mean_lesion_f1: tuple[float, ...]
    smallest_mm3: float | None = None
    smallest_grid_mm3: tuple[float, ...] = ()
    best_by_smallest: tuple[float, ...] = ()


class ThresholdKept(RunEvent):
    """No site had a case to choose a decision threshold on: the recipe's own stays."""

    event: Literal["threshold-kept"] = "threshold-kept"
    threshold: float
    reason: str
