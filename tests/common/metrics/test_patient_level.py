from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from common.metrics.cohort import PatientLevel
from common.metrics.patient_level import patient_level_by_subject


@dataclass(frozen=True)
class Scan:
    site: str
    subject: str
    metrics: Mapping[str, int | None] = field(default_factory=dict)
    failed: str | None = None

    def metric(self, name: str) -> int | None:
        return self.metrics.get(name)


def scan(subject: str, reference: int | None, predicted: int, *, site: str = "lyon") -> Scan:
    counts = {"n_reference_lesions": reference, "n_predicted_lesions": predicted}
    return Scan(site, subject, counts)


def test_sessions_of_a_subject_are_joined_by_any() -> None:
    """sub-1 has a lesion in the first scan and one is found in the second: found.

    sub-2 has lesions, none found; sub-3 has none, and one false alarm in two scans; sub-4 is clean.
    """
    scans = [
        scan("sub-1", 2, 0),
        scan("sub-1", None, 1),
        scan("sub-2", 3, 0),
        scan("sub-3", None, 0),
        scan("sub-3", 0, 2),
        scan("sub-4", None, 0),
    ]
    found = patient_level_by_subject(scans)
    assert found == PatientLevel(n_bearing=2, n_bearing_found=1, n_free=2, n_free_clean=1)
    assert (found.sensitivity, found.specificity) == (0.5, 0.5)


def test_equal_labels_of_two_sites_are_two_subjects() -> None:
    scans = [scan("sub-1", 1, 1), scan("sub-1", None, 0, site="nice")]
    found = patient_level_by_subject(scans)
    assert (found.n_bearing, found.n_free) == (1, 1)


def test_a_failed_scan_says_nothing_about_its_subject() -> None:
    failed = [Scan("lyon", subject, failed="no T2w") for subject in ("sub-1", "sub-2")]
    found = patient_level_by_subject([*failed, scan("sub-1", None, 0)])
    assert found == PatientLevel(n_bearing=0, n_bearing_found=0, n_free=1, n_free_clean=1)


def test_without_such_subjects_both_are_undefined() -> None:
    found = patient_level_by_subject([])
    assert found.sensitivity is None
    assert found.specificity is None
