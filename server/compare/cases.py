"""The tables of two and more runs, put side by side case by case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import ConfigError, RunFolderError
from common.imaging.findings import few
from server.case_row import CaseRow, read_cases

Key = tuple[str, str, str | None]
"""Site, subject, session: the same case in every run."""


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
    return SharedCases(
        runs=tuple(RunCases(run.label, {key: run.rows[key] for key in keys}) for run in runs),
        left_out=left_out,
    )


def _only_in(run: RunCases, in_all: set[Key]) -> str:
    names = [f"{row.site} {row.name}" for key, row in run.rows.items() if key not in in_all]
    return f"Of {run.label}, {len(names)} are not: {few(names)}."


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
