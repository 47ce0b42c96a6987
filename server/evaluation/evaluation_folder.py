"""The tables of one evaluation: what is stored of every scored case, for reports and for readers.

Nothing here holds an image: a table may be published where its subject labels may.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from common.errors import RunFolderError
from common.files import write_whole
from common.metrics.lesion import LesionCounts
from common.metrics.lesion_table import LesionRow
from common.metrics.probability_counts import N_BINS, ProbabilityCounts
from common.metrics.threshold_sweep import ThresholdCounts
from common.metrics.voxel import VoxelCounts
from server.evaluation.case_row import (
    LARGEST,
    CaseRow,
    as_csv,
    plain_text,
    read_cases,
    write_cases,
)
from server.evaluation.site_summary import as_rows, summarize_sites

T = TypeVar("T")
Case = tuple[str, str]
"""Site, and the case's name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredCase:
    """One case's row, and all that is kept of it beside the row.

    on_prepared_grid   the same case on the grid of its images, where `row` is on the scanner's
    lesions         every lesion of the reference and of the prediction
    sweep           counts at each decision threshold
    probabilities   voxels by predicted probability
    """

    row: CaseRow
    on_prepared_grid: CaseRow | None = None
    lesions: Sequence[LesionRow]
    sweep: Sequence[ThresholdCounts]
    probabilities: ProbabilityCounts


class EvaluationFolder:
    """The files of one evaluation.

    path   RUN/evaluation, or what `lesionfed evaluate --out` was given
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def cases_file(self) -> Path:
        """The network's row for every planned case."""
        return self.path / "cases.csv"

    @property
    def prepared_grid_file(self) -> Path:
        """Rows on the prepared grid, of the cases that cases.csv has on the scanner's."""
        return self.path / "cases_prepared_grid.csv"

    @property
    def baseline_file(self) -> Path:
        """The FLAIR threshold's row for every planned case; only a run has one."""
        return self.path / "baseline.csv"

    @property
    def sites_file(self) -> Path:
        """One row a site, every figure a column."""
        return self.path / "sites.csv"

    @property
    def lesions_file(self) -> Path:
        """One row a lesion."""
        return self.path / "lesions.csv"

    @property
    def thresholds_file(self) -> Path:
        """One row a case and decision threshold."""
        return self.path / "thresholds.csv"

    @property
    def probabilities_file(self) -> Path:
        """One row a case and bin of probability that holds a voxel."""
        return self.path / "probabilities.csv"

    @property
    def definition_file(self) -> Path:
        """What counted as a lesion, and which model was evaluated at which threshold."""
        return self.path / "definition.json"

    def picture_file(self, site: str, case: str) -> Path:
        """The drawn case; holds images of a patient."""
        return self.path / site / f"{case}.png"

    def viewer_file(self, site: str, case: str) -> Path:
        """The case for the viewer of the report; holds images of a patient."""
        return self.path / site / f"{case}.view.json"

    def write(
        self, scored: Sequence[ScoredCase], failed: Sequence[CaseRow], *, definition: dict[str, Any]
    ) -> None:
        """Writes every table; cases.csv last, so that a folder that has it is whole."""
        self.path.mkdir(parents=True, exist_ok=True)
        rows = [*(case.row for case in scored), *failed]
        write_whole(
            self.definition_file, json.dumps(definition, indent=1, allow_nan=False).encode()
        )
        write_whole(
            self.lesions_file, as_csv(_each(scored, lambda c: map(LesionRow.as_dict, c.lesions)))
        )
        write_whole(self.thresholds_file, as_csv(_each(scored, lambda c: map(_counts, c.sweep))))
        write_whole(
            self.probabilities_file, as_csv(_each(scored, lambda c: _bins(c.probabilities)))
        )
        write_whole(self.sites_file, as_csv(as_rows(summarize_sites(rows))))
        elsewhere = [case.on_prepared_grid for case in scored if case.on_prepared_grid is not None]
        if elsewhere:
            write_cases(self.prepared_grid_file, elsewhere)
        else:  # an earlier evaluation may have had some
            self.prepared_grid_file.unlink(missing_ok=True)
        write_cases(self.cases_file, rows)

    def write_baseline(self, rows: Sequence[CaseRow]) -> None:
        """Writes the FLAIR threshold's rows."""
        write_cases(self.baseline_file, rows)

    def cases(self) -> list[CaseRow]:
        """The network's rows; RunFolderError without a readable cases.csv."""
        return read_cases(self.cases_file)

    def baseline(self) -> list[CaseRow]:
        """The FLAIR threshold's rows; none without baseline.csv."""
        return read_cases(self.baseline_file) if self.baseline_file.exists() else []

    def threshold(self) -> float | None:
        """The decision threshold that was used; None where the folder does not say."""
        try:
            definition = json.loads(self.definition_file.read_text(encoding="utf-8"))
            return float(definition["threshold"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise RunFolderError(
                f"{self.definition_file}: want JSON with a threshold, found {error!r}. "
                "Evaluate the model again."
            ) from None

    def lesions(self) -> dict[Case, list[LesionRow]]:
        """Case -> its lesions; a case without any is absent."""
        return _read(self.lesions_file, _lesion_of)

    def sweeps(self) -> dict[Case, list[ThresholdCounts]]:
        """Case -> its counts by threshold, rising."""
        return _read(self.thresholds_file, _counts_of)

    def probabilities(self) -> dict[Case, ProbabilityCounts]:
        """Case -> its voxels by probability."""
        return {
            case: _counts_of_bins(bins)
            for case, bins in _read(self.probabilities_file, _bin_of).items()
        }


def _each(
    scored: Iterable[ScoredCase], rows_of: Callable[[ScoredCase], Iterable[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """Every row of every case, with the case's place in front and the grid it was scored on."""
    return [
        {"site": case.row.site, "case": case.row.name, "grid": case.row.grid, **row}
        for case in scored
        for row in rows_of(case)
    ]


def _read(path: Path, read_row: Callable[[Mapping[str, str]], T]) -> dict[Case, list[T]]:
    """Case -> its rows; nothing where the file is absent, for a folder may be older."""
    by_case: dict[Case, list[T]] = {}
    try:
        text = path.read_text(encoding="utf-8")
        for row in csv.DictReader(io.StringIO(text), strict=True):
            by_case.setdefault((plain_text(row["site"]), plain_text(row["case"])), []).append(
                read_row(row)
            )
    except FileNotFoundError:
        return {}
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise RunFolderError(
            f"{path}: cannot be read: {type(error).__name__}: {error}. "
            "Evaluate the model again to write the table."
        ) from None
    return by_case


def _lesion_of(row: Mapping[str, str]) -> LesionRow:
    if (mask := row["mask"]) not in ("reference", "prediction"):
        raise ValueError(f"mask: want reference or prediction, got {mask!r}")
    return LesionRow(
        mask="reference" if mask == "reference" else "prediction",
        lesion=_count(row, "lesion"),
        n_voxels=_count(row, "n_voxels"),
        volume_mm3=_number(row, "volume_mm3"),
        centroid_mm=(_number(row, "x_mm"), _number(row, "y_mm"), _number(row, "z_mm")),
        detected=bool(int(row["detected"])),
        overlap=_number(row, "overlap"),
    )


def _number(row: Mapping[str, str], name: str) -> float:
    """The column as a finite number; ValueError otherwise."""
    if not math.isfinite(value := float(row[name])):
        raise ValueError(f"{name}: want a finite number, got {row[name]!r}")
    return value


def _count(row: Mapping[str, str], name: str) -> int:
    """The column as a whole number up to LARGEST; ValueError otherwise."""
    if not 0 <= (value := int(row[name])) <= LARGEST:
        raise ValueError(f"{name}: want 0 to {LARGEST:g}, got {row[name]!r:.40}")
    return value


def _counts(at: ThresholdCounts) -> dict[str, Any]:
    lesions = dataclasses.asdict(at.lesions)
    return {
        "threshold": at.threshold,
        **dataclasses.asdict(at.voxels),
        **{name: int(v) if isinstance(v, bool) else v for name, v in lesions.items()},
    }


def _counts_of(row: Mapping[str, str]) -> ThresholdCounts:
    volumes = ("reference_volume_mm3", "predicted_volume_mm3")
    flags = ("reference_is_empty", "prediction_is_empty")
    counts = [
        field.name
        for field in dataclasses.fields(LesionCounts)
        if field.name not in (*volumes, *flags)
    ]
    lesions: dict[str, Any] = {name: _count(row, name) for name in counts}
    lesions |= {name: _number(row, name) for name in volumes}
    lesions |= {name: bool(int(row[name])) for name in flags}
    voxels = {field.name: _count(row, field.name) for field in dataclasses.fields(VoxelCounts)}
    return ThresholdCounts(
        threshold=_number(row, "threshold"),
        voxels=VoxelCounts(**voxels),
        lesions=LesionCounts(**lesions),
    )


def _bins(counts: ProbabilityCounts) -> list[dict[str, Any]]:
    return [
        {
            "bin": index,
            "n_voxels": int(counts.n_voxels[index]),
            "n_lesion_voxels": int(counts.n_lesion_voxels[index]),
            "probability_sum": float(counts.probability_sums[index]),
        }
        for index in np.flatnonzero(counts.n_voxels)
    ]


def _bin_of(row: Mapping[str, str]) -> tuple[int, int, int, float]:
    index = int(row["bin"])
    if not 0 <= index < N_BINS:
        raise ValueError(f"bin: want 0 to {N_BINS - 1}, got {index}")
    return (
        index,
        _count(row, "n_voxels"),
        _count(row, "n_lesion_voxels"),
        _number(row, "probability_sum"),
    )


def _counts_of_bins(bins: Sequence[tuple[int, int, int, float]]) -> ProbabilityCounts:
    n_voxels = np.zeros(N_BINS, dtype=np.int64)
    n_lesion_voxels = np.zeros(N_BINS, dtype=np.int64)
    probability_sums = np.zeros(N_BINS)
    for index, n, n_lesion, probability_sum in bins:
        n_voxels[index], n_lesion_voxels[index] = n, n_lesion
        probability_sums[index] = probability_sum
    return ProbabilityCounts(
        n_voxels=n_voxels, n_lesion_voxels=n_lesion_voxels, probability_sums=probability_sums
    )
