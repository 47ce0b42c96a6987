"""Sensitivity and specificity over subjects, not over scans: who has lesions at all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from common.metrics.cohort import PatientLevel, patient_level


class ScoredScan(Protocol):
    """One line of a table of cases; `failed` says why it has no score, or is None."""

    @property
    def site(self) -> str: ...

    @property
    def subject(self) -> str: ...

    @property
    def failed(self) -> str | None: ...

    def metric(self, name: str) -> float | int | None: ...


def patient_level_by_subject(scans: Iterable[ScoredScan]) -> PatientLevel:
    """P-sensitivity and P-specificity of subjects; None where there is no such subject.

    A subject has lesions where any of its sessions has one in the reference, and is called positive
    where any of its sessions has one in the prediction, wherever it lies; a lesion is what the
    preset counts (`n_reference_lesions`, `n_predicted_lesions`). Scans that failed are left out: a
    subject is judged by those that have a score, and without one does not count. Subjects of two
    sites are different subjects, whatever their labels.
    Source   Hussein et al. 2023, who define neither; `common/metrics/cohort.py` has the same
             figures by scan. Joining sessions by "any" is chosen: a subject with a lesion in one
             scan is not lesion-free.
    """
    lesions: dict[tuple[str, str], dict[str, float | int | None]] = {}
    for scan in scans:
        if scan.failed is not None:
            continue
        counts = lesions.setdefault((scan.site, scan.subject), dict.fromkeys(_COUNTS, 0))
        for name in _COUNTS:
            counts[name] = (counts[name] or 0) + (scan.metric(name) or 0)
    return patient_level(lesions.values())


_COUNTS = ("n_reference_lesions", "n_predicted_lesions")
