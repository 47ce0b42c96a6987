"""The tables of two and more runs, put side by side case by case."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import ConfigError, RunFolderError
from common.imaging.intake.findings import first_of
from server.evaluation.case_row import CaseRow, read_cases

Key = tuple[str, str, str | None]
"""Site, subject, session: the same case in every run."""

REFERENCE = ("reference voxels", "reference lesions", "a reference volume in mm3 of")


@dataclass(frozen=True, slots=True)
class RunCases:
    """One run's row for every planned case."""

    label: str
    rows: Mapping[Key, CaseRow]


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedCases:
    """The cases that all runs planned.

    runs       in the order given, the rows in one order in all of them
    left_out   label of a run -> how many of its cases another run does not have
    """

    runs: tuple[RunCases, ...]
    left_out: Mapping[str, int]

    @property
    def n(self) -> int:
        """How many cases, scored or not."""
        return len(self.runs[0].rows)

    @property
    def sites(self) -> list[str]:
        """Their sites, in the order of the first run's table."""
        return list(dict.fromkeys(site for site, _, _ in self.runs[0].rows))


def read_runs(paths: Sequence[Path]) -> list[RunCases]:
    """Each run's table of cases; RunFolderError where there is none, ConfigError below two runs.

    paths   a run's folder, a folder that holds cases.csv, or the table itself
    """
    files = [_cases_file(path) for path in paths]
    if len({file.resolve() for file in files}) < max(2, len(files)):
        raise ConfigError(
            f"want at least two different runs to compare, got {', '.join(map(str, paths))}"
        )
    labels = [path.name for path in paths]
    if "" in labels or len(set(labels)) < len(labels):
        labels = [str(path) for path in paths]
    return [
        RunCases(label, _by_key(read_cases(file), file))
        for label, file in zip(labels, files, strict=True)
    ]


def shared_cases(runs: Sequence[RunCases], *, common_only: bool) -> SharedCases:
    """The cases of all runs; ConfigError where the sets differ, unless `common_only`.

    common_only   leave out, and count, every case that is not in all the runs

    ConfigError as well where a case was judged against another reference, or with another
    definition of a lesion, than in the first run.
    """
    in_all = set.intersection(*(set(run.rows) for run in runs))
    left_out = {run.label: len(run.rows) - len(in_all) for run in runs}
    if any(left_out.values()) and not common_only:
        raise ConfigError(
            f"want runs scored on the same cases; {len(in_all)} are in all of them. "
            f"{' '.join(_only_in(run, in_all) for run in runs if left_out[run.label])} "
            "Evaluate the runs on the same sites, or compare the common cases with --common-cases."
        )
    if not in_all:
        raise ConfigError(
            "no case is in all the runs. Compare runs that were scored on the same sites: a case "
            "is known by the site's name, subject and session."
        )
    keys = [key for key in runs[0].rows if key in in_all]
    for run in runs[1:]:
        _require_same_reference(runs[0], run, keys)
    return SharedCases(
        runs=tuple(RunCases(run.label, {key: run.rows[key] for key in keys}) for run in runs),
        left_out=left_out,
    )


def on_one_grid(a: CaseRow, b: CaseRow) -> bool:
    """Whether both rows' figures can be set side by side; a failed row has none."""
    return a.grid == b.grid or a.failed is not None or b.failed is not None


def _require_same_reference(first: RunCases, other: RunCases, keys: Sequence[Key]) -> None:
    """Nothing, or ConfigError naming the case whose reference is not the same in both runs."""
    for key in keys:
        mine, theirs = first.rows[key], other.rows[key]
        if not on_one_grid(mine, theirs):
            raise ConfigError(
                f"{mine.site} {mine.name}: want all runs scored on one grid, got the {mine.grid} "
                f"grid in {first.label} and the {theirs.grid} grid in {other.label}. Evaluate both "
                "again with this version and the same folders."
            )
        for what, a, b in zip(
            REFERENCE, _reference(first.rows[key]), _reference(other.rows[key]), strict=True
        ):
            if a is not None and b is not None and not math.isclose(a, b, rel_tol=1e-6):
                row = first.rows[key]
                raise ConfigError(
                    f"{row.site} {row.name}: want one reference and one definition of a lesion in "
                    f"all runs, got {what} {a:g} in {first.label} and {b:g} in {other.label}. "
                    "Evaluate both with the same masks and the same evaluation.preset."
                )


def _reference(row: CaseRow) -> tuple[float | None, float | None, float | None]:
    """What the reference and the definition alone decide, in the order of REFERENCE."""
    tp, fn = row.metric("tp_voxels"), row.metric("fn_voxels")
    n_voxels = None if tp is None or fn is None else tp + fn
    return n_voxels, row.metric("n_reference_lesions"), row.metric("reference_volume_mm3")


def _only_in(run: RunCases, in_all: set[Key]) -> str:
    names = [f"{row.site} {row.name}" for key, row in run.rows.items() if key not in in_all]
    return f"Of {run.label}, {len(names)} are not: {first_of(names)}."


def _cases_file(path: Path) -> Path:
    if path.is_file():
        return path
    for file in (path / "evaluation" / "cases.csv", path / "cases.csv"):
        if file.is_file():
            return file
    raise RunFolderError(
        f"{path}: want the folder of a finished run, or one that holds cases.csv, found "
        f"{'neither table' if path.is_dir() else 'no such folder'}. Give what "
        "`lesionfed simulate --out` or `lesionfed evaluate --out` named."
    )


def _by_key(rows: Iterable[CaseRow], file: Path) -> dict[Key, CaseRow]:
    by_key: dict[Key, CaseRow] = {}
    for row in rows:
        key = (row.site, row.subject, row.session)
        if key in by_key:
            raise RunFolderError(
                f"{file}: {row.site} {row.name} is listed twice. Make the table again."
            )
        by_key[key] = row
    return by_key
