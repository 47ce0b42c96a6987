"""One network to compare: its cases, and what else its folder keeps of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.metrics.threshold_sweep import ThresholdCounts
from server.compare.cases import RunCases
from server.evaluation.case_row import CaseRow
from server.evaluation.evaluation_folder import Case, EvaluationFolder
from server.events.history import RunHistory, read_run
from server.run.run_folder import RunFolder


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluatedRun:
    """One network.

    label    the method it stands for: several seeds and folds share one
    rows     one a planned case of the sites it was evaluated at
    sweeps   case -> its counts by decision threshold; empty where none were kept
    record   the run as its events give it; None where the folder is no run's
    """

    label: str
    seed: int
    rows: Sequence[CaseRow]
    sweeps: Mapping[Case, Sequence[ThresholdCounts]]
    record: RunHistory | None


def evaluated_runs(runs: Sequence[RunCases], paths: Sequence[Path]) -> list[EvaluatedRun]:
    """What `lesionfed compare` was given, each folder a method of its own.

    runs    the tables of cases, in the order of `paths`
    paths   a run's folder, one that holds cases.csv, or the table itself
    """
    return [_evaluated(run, path) for run, path in zip(runs, paths, strict=True)]


def _evaluated(run: RunCases, path: Path) -> EvaluatedRun:
    events = RunFolder(path).events_file
    inner = RunFolder(path).evaluation
    folder = path.parent if path.is_file() else inner if inner.is_dir() else path
    return EvaluatedRun(
        label=run.label,
        seed=0,
        rows=list(run.rows.values()),
        sweeps=EvaluationFolder(folder).sweeps(),
        record=read_run(events) if events.is_file() else None,
    )
