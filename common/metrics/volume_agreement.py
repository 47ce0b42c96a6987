"""How well lesion volumes agree over a set of cases, after Bland and Altman."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from common.metrics.cohort import Case


@dataclass(frozen=True, kw_only=True, slots=True)
class VolumePoint:
    """One case: the mean of its two lesion volumes, and predicted minus reference."""

    name: str
    mean_ml: float
    difference_ml: float


@dataclass(frozen=True, slots=True)
class VolumeAgreement:
    """Every case's point, and the bias and limits of agreement they give."""

    points: tuple[VolumePoint, ...]

    @property
    def n(self) -> int:
        """How many cases."""
        return len(self.points)

    @property
    def bias_ml(self) -> float | None:
        """Mean of predicted minus reference: above 0 for too much predicted; None without cases."""
        return statistics.fmean(self._differences) if self.points else None

    @property
    def limits_ml(self) -> tuple[float, float] | None:
        """Bias -+ 1.96 standard deviations of the differences (n - 1); None below 2 cases."""
        bias = self.bias_ml
        if bias is None or self.n < 2:
            return None
        half = 1.96 * statistics.stdev(self._differences)
        return bias - half, bias + half

    @property
    def _differences(self) -> list[float]:
        return [point.difference_ml for point in self.points]


def volume_agreement(cases: Iterable[tuple[str, Case]]) -> VolumeAgreement:
    """Agreement of the predicted with the reference lesion volume.

    cases   (name, metrics) of every scored case, with reference_volume_mm3 and predicted_volume_mm3

    The reference volume of a case without a lesion is undefined in its row, as every metric is
    there; here it is 0, so that volume predicted in lesion-free scans counts towards the bias.

    Source  Bland and Altman 1986, doi:10.1016/S0140-6736(86)90837-8. Sessions of one subject count
            as separate cases (chosen), so the limits are a little too narrow where there are many.
    """
    points = []
    for name, case in cases:
        reference_ml = (case.get("reference_volume_mm3") or 0.0) / 1000
        predicted_ml = (case.get("predicted_volume_mm3") or 0.0) / 1000
        points.append(
            VolumePoint(
                name=name,
                mean_ml=(reference_ml + predicted_ml) / 2,
                difference_ml=predicted_ml - reference_ml,
            )
        )
    return VolumeAgreement(tuple(points))
