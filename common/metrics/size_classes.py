"""Lesions found and confirmed, by their size."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass

from common.metrics.lesion_table import LesionRow

BOUNDS_MM3 = (0.0, 10.0, 50.0, 100.0, 500.0, math.inf)
"""Ends of the classes; the upper one belongs to the class."""

_ROUNDING = 1 + 1e-6
"""A header's float32 spacing makes 10 voxels of 1 mm3 up to 10.000004 mm3: still 10."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SizeClass:
    """The lesions above `low_mm3` and up to `high_mm3`, each by its own volume.

    n_reference, n_detected   lesions of the references, and those the predictions found
    n_predicted, n_confirmed  predicted lesions, and those the references confirmed
    """

    low_mm3: float
    high_mm3: float
    n_reference: int
    n_detected: int
    n_predicted: int
    n_confirmed: int

    @property
    def label(self) -> str:
        """The class as text, without the unit mm3: "<= 10", "10-50", ..., "> 500"."""
        if self.low_mm3 == 0:
            return f"<= {self.high_mm3:g}"
        if self.high_mm3 == math.inf:
            return f"> {self.low_mm3:g}"
        return f"{self.low_mm3:g}-{self.high_mm3:g}"

    @property
    def sensitivity(self) -> float | None:
        """Share of the reference lesions that were found; None where there are none."""
        return self.n_detected / self.n_reference if self.n_reference else None

    @property
    def ppv(self) -> float | None:
        """Share of the predicted lesions that were confirmed; None where there are none."""
        return self.n_confirmed / self.n_predicted if self.n_predicted else None


def by_size(rows: Iterable[LesionRow]) -> list[SizeClass]:
    """Every size class, smallest first, with the lesions of any number of cases pooled."""
    table = list(rows)
    return [
        _size_class([row for row in table if low < row.volume_mm3 / _ROUNDING <= high], low, high)
        for low, high in itertools.pairwise(BOUNDS_MM3)
    ]


def _size_class(rows: list[LesionRow], low_mm3: float, high_mm3: float) -> SizeClass:
    reference = [row.detected for row in rows if row.mask == "reference"]
    predicted = [row.detected for row in rows if row.mask == "prediction"]
    return SizeClass(
        low_mm3=low_mm3,
        high_mm3=high_mm3,
        n_reference=len(reference),
        n_detected=sum(reference),
        n_predicted=len(predicted),
        n_confirmed=sum(predicted),
    )
