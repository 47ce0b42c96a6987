from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import SiteDataError
from server.evaluation.mask_pairs import find_pairs, without_suffix


def folder(root: Path, *names: str) -> Path:
    """A folder of empty files: only their names count here."""
    root.mkdir(parents=True)
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def paired(references: Path, predictions: Path) -> dict[str, str | None]:
    """Case -> its prediction's path below its folder, in order."""
    return {
        pair.case: pair.prediction.relative_to(predictions).as_posix() if pair.prediction else None
        for pair in find_pairs(references, predictions).pairs
    }


def test_equal_relative_paths_belong_together_whatever_the_compression(tmp_path: Path) -> None:
    references = folder(tmp_path / "ref", "b/scan.nii.gz", "a/scan.nii.gz", "notes.txt")
    predictions = folder(tmp_path / "pred", "a/scan.nii.gz", "b/scan.nii")
    assert paired(references, predictions) == {"a/scan": "a/scan.nii.gz", "b/scan": "b/scan.nii"}
    assert list(paired(references, predictions)) == ["a/scan", "b/scan"]


def test_what_differs_in_name_is_paired_by_subject_and_session(tmp_path: Path) -> None:
    references = folder(
        tmp_path / "ref",
        "sub-01/ses-1/sub-01_ses-1_desc-lesion_mask.nii.gz",
        "sub-01/ses-2/sub-01_ses-2_desc-lesion_mask.nii.gz",
        "sub-02/sub-02_desc-lesion_mask.nii.gz",
    )
    predictions = folder(
        tmp_path / "pred", "sub-02_pred.nii.gz", "sub-01_ses-2_pred.nii.gz", "sub-01_ses-1.nii.gz"
    )
    assert list(paired(references, predictions).values()) == [
        "sub-01_ses-1.nii.gz",
        "sub-01_ses-2_pred.nii.gz",
        "sub-02_pred.nii.gz",
    ]


def test_labels_in_folders_count_where_the_file_has_none(tmp_path: Path) -> None:
    references = folder(tmp_path / "ref", "sub-7/ses-a/mask.nii.gz", "sub-7/ses-b/mask.nii.gz")
    predictions = folder(tmp_path / "pred", "sub-7_ses-b.nii.gz", "sub-7_ses-a.nii.gz")
    assert list(paired(references, predictions).values()) == [
        "sub-7_ses-a.nii.gz",
        "sub-7_ses-b.nii.gz",
    ]


def test_a_file_without_session_fits_the_only_session(tmp_path: Path) -> None:
    references = folder(tmp_path / "ref", "sub-01_ses-1_mask.nii.gz", "sub-02_mask.nii.gz")
    predictions = folder(tmp_path / "pred", "sub-01_pred.nii.gz", "sub-02_ses-9_pred.nii.gz")
    assert list(paired(references, predictions).values()) == [
        "sub-01_pred.nii.gz",
        "sub-02_ses-9_pred.nii.gz",
    ]


def test_subject_1_is_not_subject_10(tmp_path: Path) -> None:
    references = folder(tmp_path / "ref", "sub-1_mask.nii.gz")
    predictions = folder(tmp_path / "pred", "sub-10_pred.nii.gz")
    assert paired(references, predictions) == {"sub-1_mask": None}


def test_what_has_no_partner_is_kept_on_both_sides(tmp_path: Path) -> None:
    references = folder(tmp_path / "ref", "sub-01_mask.nii.gz", "anna.nii.gz")
    predictions = folder(tmp_path / "pred", "sub-02_pred.nii.gz", "bert.nii.gz")
    found = find_pairs(references, predictions)
    assert [(pair.case, pair.prediction) for pair in found.pairs] == [
        ("anna", None),
        ("sub-01_mask", None),
    ]
    assert [path.name for path in found.left_over] == ["bert.nii.gz", "sub-02_pred.nii.gz"]


@pytest.mark.parametrize(
    ("references", "predictions", "one", "among"),
    [
        pytest.param(
            ["sub-01_mask.nii.gz"],
            ["sub-01_a.nii.gz", "sub-01_b.nii.gz"],
            "sub-01_mask.nii.gz",
            "predictions",
            id="two predictions for one reference",
        ),
        pytest.param(
            ["sub-01_a.nii.gz", "sub-01_b.nii.gz"],
            ["sub-01_pred.nii.gz"],
            "sub-01_pred.nii.gz",
            "references",
            id="two references for one prediction",
        ),
        pytest.param(
            ["sub-01_mask.nii.gz"],
            ["sub-01_ses-a.nii.gz", "sub-01_ses-b.nii.gz"],
            "sub-01_mask.nii.gz",
            "predictions",
            id="a reference without session, two sessions predicted",
        ),
        pytest.param(
            ["sub-01_ses-a.nii.gz", "sub-01_ses-b.nii.gz"],
            ["sub-01_pred.nii.gz"],
            "sub-01_pred.nii.gz",
            "references",
            id="a prediction without session, two sessions of reference",
        ),
    ],
)
def test_an_ambiguous_partner_is_a_failed_row_that_lists_both(
    tmp_path: Path, references: list[str], predictions: list[str], one: str, among: str
) -> None:
    several = predictions if among == "predictions" else references
    found = find_pairs(folder(tmp_path / "r", *references), folder(tmp_path / "p", *predictions))
    assert len(found.pairs) == len(references)
    assert len(found.left_over) == len(predictions)
    for pair in found.pairs:
        assert pair.prediction is None
        assert pair.failed is not None
        assert f"{one}: want one file" in pair.failed
        assert f"among the {among}" in pair.failed
        assert all(name in pair.failed for name in several)


def test_one_scan_in_two_formats_is_ambiguous(tmp_path: Path) -> None:
    references = folder(tmp_path / "ref", "a.nii", "a.nii.gz")
    first, second = find_pairs(references, folder(tmp_path / "pred", "a.nii.gz")).pairs
    assert (first.case, second.case) == ("a.nii", "a.nii.gz")
    for pair in (first, second):
        assert "found a.nii and a.nii.gz" in str(pair.failed)


def test_a_folder_without_nifti_is_refused(tmp_path: Path) -> None:
    full, empty = folder(tmp_path / "full", "a.nii.gz"), folder(tmp_path / "empty", "a.png")
    for references, predictions in ((full, empty), (empty, full)):
        with pytest.raises(SiteDataError, match=r"empty: want NIfTI files .* found none"):
            find_pairs(references, predictions)


def test_hidden_files_are_no_scans(tmp_path: Path) -> None:
    references = folder(tmp_path / "ref", "a.nii.gz", "._a.nii.gz", ".trash/b.nii.gz")
    assert list(paired(references, folder(tmp_path / "pred", "a.nii.gz"))) == ["a"]


@pytest.mark.parametrize(
    ("name", "bare"), [("x.nii.gz", "x"), ("x.nii", "x"), ("x.mgz", "x.mgz"), ("v1.2.nii", "v1.2")]
)
def test_only_nifti_suffixes_are_dropped(name: str, bare: str) -> None:
    assert without_suffix(name) == bare
