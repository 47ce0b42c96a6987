from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from server.evaluation.evaluation_folder import EvaluationFolder
from server.events.history import RunHistory
from server.events.site_probed import SiteNotProbed, SiteProbed
from server.studies.methods.site_probes import COLUMNS, probe_rows, probes_by_method
from server.studies.plan import Parts, PlannedRun
from server.studies.run_results import RunOutcome, RunResult

Probe = SiteProbed | SiteNotProbed | None


def probed(accuracy: float, low: float, chance: float = 0.25) -> SiteProbed:
    return SiteProbed(
        accuracy=accuracy, low=low, high=1.0, chance=chance, n_subjects=8, recalls={"lyon": 0.5}
    )


def result(method: str, seed: int, probe: Probe, *, has_record: bool = True) -> RunResult:
    return RunResult(
        run=PlannedRun(
            method=method,
            seed=seed,
            fold=None,
            place=Path(method, f"seed-{seed}"),
            title=method,
            parts=Parts(train=("lyon", "bonn"), validation=(), unseen=("porto",)),
        ),
        outcome=RunOutcome(failed=None, wall_s=None),
        record=RunHistory(site_probe=probe) if has_record else None,
        rows=(),
        evaluation=cast(EvaluationFolder, None),
        has_report=False,
    )


RESULTS = [
    result("none", 0, probed(0.75, 0.5)),
    result("uniform", 0, probed(0.5, 0.25)),
    result("none", 1, probed(0.25, 0.0)),
    result("uniform", 1, SiteNotProbed(reason="few subjects")),
    result("local", 0, None),
    result("late", 0, None, has_record=False),
]


def test_a_method_has_the_mean_of_its_probed_networks_and_how_many_are_above_chance() -> None:
    """none: (0.75 + 0.25) / 2, one of two above; uniform: its low end is chance, not above."""
    found = [(p.method, p.accuracy, p.n_told, p.n_probed) for p in probes_by_method(RESULTS)]
    assert found == [("none", 0.5, 1, 2), ("uniform", 0.5, 0, 1)]


def test_every_probed_network_has_a_row_and_no_other() -> None:
    rows = probe_rows(RESULTS)
    assert [(row["variant"], row["seed"]) for row in rows] == [
        ("none", 0),
        ("uniform", 0),
        ("none", 1),
    ]
    assert rows[0] == dict(zip(COLUMNS, ("none", 0, None, 0.75, 0.5, 1.0, 0.25, 8), strict=True))


def test_the_chance_of_folds_with_other_numbers_of_sites_is_their_mean() -> None:
    [line] = probes_by_method(
        [result("m", 0, probed(0.5, 0.1, 0.5)), result("m", 1, probed(0.5, 0.1, 0.25))]
    )
    assert line.chance == pytest.approx(0.375)
