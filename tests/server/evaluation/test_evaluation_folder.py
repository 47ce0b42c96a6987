from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.errors import RunFolderError
from server.evaluation.case_row import read_cases
from server.evaluation.evaluation_folder import EvaluationFolder
from tests.server.evaluation.made_evaluation import DEFINITION, baseline, failed, scored


@pytest.fixture
def folder(tmp_path: Path) -> EvaluationFolder:
    made = EvaluationFolder(tmp_path / "evaluation")
    made.write(scored(), failed(), definition=DEFINITION)
    made.write_baseline(baseline())
    return made


def test_what_is_written_reads_back_the_same(folder: EvaluationFolder) -> None:
    keys = [(case.row.site, case.row.name) for case in scored()]
    assert keys == [("east", "sub-A"), ("east", "sub-B"), ("west", "sub-A")]
    assert folder.cases() == [*(case.row for case in scored()), *failed()]
    assert folder.baseline() == baseline()
    assert folder.lesions() == dict(zip(keys, (list(c.lesions) for c in scored()), strict=True))
    assert folder.sweeps() == dict(zip(keys, (list(c.sweep) for c in scored()), strict=True))
    assert folder.threshold() == 0.5


def test_the_bins_of_probability_come_back_with_the_empty_ones(folder: EvaluationFolder) -> None:
    read = folder.probabilities()["east", "sub-B"]
    assert read.n_voxels.sum() == 100
    assert np.flatnonzero(read.n_voxels).tolist() == [5, 85]
    assert read.n_lesion_voxels[85] == 5
    assert read.probability_sums[85] == 8.5


def test_a_failed_case_keeps_its_row_its_reason_and_its_session(folder: EvaluationFolder) -> None:
    [last] = [row for row in read_cases(folder.cases_file) if row.failed is not None]
    assert (last.site, last.name, last.failed) == (
        "west",
        "sub-C_ses-01",
        "FLAIR is cut off",
    )
    assert last.metric("dice") is None


def test_an_older_folder_without_the_newer_tables_is_read_as_far_as_it_goes(
    folder: EvaluationFolder,
) -> None:
    for file in (folder.lesions_file, folder.thresholds_file, folder.baseline_file):
        file.unlink()
    assert folder.lesions() == {}
    assert folder.sweeps() == {}
    assert folder.baseline() == []
    assert len(folder.cases()) == 4


@pytest.mark.parametrize(
    ("table", "old", "new", "told"),
    [
        ("lesions", "reference", "both", "mask: want reference or prediction, got 'both'"),
        ("thresholds", "0.25", "low", "could not convert string to float"),
        ("probabilities", ",85,", ",185,", "bin: want 0 to 99, got 185"),
        ("lesions", "volume_mm3", "volume", "KeyError: 'volume_mm3'"),
    ],
)
def test_a_damaged_table_is_refused_with_its_name(
    folder: EvaluationFolder, table: str, old: str, new: str, told: str
) -> None:
    path = folder.path / f"{table}.csv"
    path.write_text(path.read_text("utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(RunFolderError, match=f"{table}.csv: cannot be read: .*{told}"):
        {
            "lesions": folder.lesions,
            "thresholds": folder.sweeps,
            "probabilities": folder.probabilities,
        }[table]()


def test_a_definition_without_a_threshold_is_refused(folder: EvaluationFolder) -> None:
    folder.definition_file.write_text("{}", encoding="utf-8")
    with pytest.raises(RunFolderError, match=r"definition\.json: want JSON with a threshold"):
        folder.threshold()
