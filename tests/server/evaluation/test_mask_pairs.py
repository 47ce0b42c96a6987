from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import SiteDataError
from server.evaluation.mask_pairs import find_pairs


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


def reasons(references: Path, predictions: Path) -> dict[str, str | None]:
    """Case -> why it cannot be scored."""
    return {pair.case: pair.failed for pair in find_pairs(references, predictions).pairs}


@pytest.mark.parametrize(
    ("reference", "prediction", "why"),
    [
        ("sub-1_ses-2021-01-31_mask", "sub-1_ses-2021-11-30_pred", "letters and digits only"),
        ("sub-LYO-1_mask", "sub-LYO-2_pred", "letters and digits only"),
        ("sub-LYO-1_mask", "sub-LYO_pred", "letters and digits only"),
        ("sub-1_mask", "sub-1-b_pred", "no prediction"),
        ("sub-1_run-1_mask", "sub-1_run-2_pred", "has run-2, the reference run-1"),
        ("sub-1_acq-3T_mask", "sub-1_acq-7T_pred", "has acq-7T, the reference acq-3T"),
        ("sub-1_dir-AP_mask", "sub-1_dir-PA_pred", "has dir-PA"),
        ("sub-1_part-mag_mask", "sub-1_part-phase_pred", "has part-phase"),
        ("sub-1_rec-a_mask", "sub-1_rec-b_pred", "has rec-b"),
        ("sub-1_desc-brain_mask", "sub-1_desc-lesion_pred", "a mask of the brain, never"),
        ("sub-1_desc-cord_mask", "sub-1_pred", "a mask of the cord, never"),
        ("sub-1_desc-lesion_mask", "sub-1_desc-brain_mask", "is a mask of the brain"),
        ("sub-1_desc-lesion_mask", "sub-1_desc-newlesion_mask", "shows newlesion, the reference"),
        ("sub-1_desc-lesion_mask", "sub-1_FLAIR", "is a scanner's image"),
        ("sub-1_ses-2021_01_31_mask", "sub-1_ses-2021_11_30_pred", "01 between two _"),
        ("sub-1/20210131_mask", "sub-1/20211130_pred", "20210131 between two _"),
        ("sub-1_20210131", "sub-1_20211130", "20210131 after the last _"),
        ("sub-1/20210131", "sub-1/20211130", "20210131 after the last _"),
        ("sub-1/sub-2_mask", "sub-2_pred", "lies in the folder of sub-1"),
        ("sub-1/ses-a-b/mask", "sub-1_ses-a_pred", "in the folder ses-a-b: a label is letters"),
    ],
)
def test_what_differs_in_an_entity_is_no_pair_but_a_failed_row(
    tmp_path: Path, reference: str, prediction: str, why: str
) -> None:
    references = folder(tmp_path / "r", f"{reference}.nii.gz")
    predictions = folder(tmp_path / "p", f"{prediction}.nii.gz")
    found = find_pairs(references, predictions)
    (pair,) = found.pairs
    assert pair.prediction is None
    assert why in str(pair.failed)
    assert len(found.left_over) == 1


def test_the_same_path_is_a_pair_whatever_its_labels(tmp_path: Path) -> None:
    name = "sub-LYO-1_ses-2021-01-31_mask.nii.gz"
    references = folder(tmp_path / "r", name, "sub-1/sub-2_mask.nii.gz", "sub-1_brainmask.nii")
    predictions = folder(tmp_path / "p", name, "sub-1/sub-2_mask.nii.gz", "sub-1_brainmask.nii")
    assert reasons(references, predictions) == {
        "sub-1/sub-2_mask": "lies in the folder of sub-1. Find out whose it is, then move or "
        "rename it.",
        "sub-1_brainmask": "a mask of the brain, never a reference of lesions",
        "sub-LYO-1_ses-2021-01-31_mask": None,
    }


def test_a_prediction_without_session_is_nobodys_where_there_are_two(tmp_path: Path) -> None:
    references = folder(tmp_path / "r", "sub-1_ses-a_mask.nii.gz", "sub-1_ses-b_mask.nii.gz")
    predictions = folder(tmp_path / "p", "sub-1_ses-a_pred.nii.gz", "sub-1_pred.nii.gz")
    assert paired(references, predictions) == {
        "sub-1_ses-a_mask": "sub-1_ses-a_pred.nii.gz",
        "sub-1_ses-b_mask": None,
    }


def test_every_reference_that_is_named_is_planned(tmp_path: Path) -> None:
    endings = (".nii.gz", ".NII.GZ", ".nii.GZ", ".hdr", ".mgz", ".nii.bz2", ".nrrd")
    names = [f"sub-{n}_mask{ending}" for n, ending in enumerate(endings)]
    references = folder(tmp_path / "r", *names, "sub-3_mask.img")
    (references / "sub-90_mask.nii.gz").symlink_to(".git/annex/objects/x")
    (references / "sub-91").symlink_to("/nowhere")
    (references / "sub-92_mask.nii.gz").write_bytes(b"/annex/objects/x")
    elsewhere = folder(tmp_path / "elsewhere", "mask.nii.gz")
    (references / "sub-93").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(references)
    (references / "circle").symlink_to(references)
    predictions = folder(
        tmp_path / "p", *(f"sub-{n}_pred.nii.gz" for n in (*range(7), 90, 91, 92, 93))
    )
    found = reasons(references, predictions)
    assert {case for case, why in found.items() if why is None} == {"sub-0_mask", "sub-93/mask"}
    assert len(found) == 11
    assert "Rename it to sub-1_mask.nii.gz" in str(found["sub-1_mask"])
    assert "git annex get" in str(found["sub-90_mask"])
    assert "a link without content" in str(found["sub-91"])


def test_a_prediction_that_is_not_read_is_the_reason_of_its_row(tmp_path: Path) -> None:
    references = folder(tmp_path / "r", "sub-1_mask.nii.gz")
    predictions = folder(tmp_path / "p", "sub-1_pred.mgz")
    (pair,) = find_pairs(references, predictions).pairs
    assert pair.prediction == predictions / "sub-1_pred.mgz"
    assert "prediction sub-1_pred.mgz: .mgz is not read" in str(pair.failed)


def test_what_lies_beside_a_reference_and_is_none_is_set_aside(tmp_path: Path) -> None:
    names = ("FLAIR", "desc-brain_mask", "desc-lesion_mask", "desc-lesionRater1_mask")
    references = folder(tmp_path / "r", *(f"sub-1/sub-1_{name}.nii.gz" for name in names))
    found = find_pairs(references, folder(tmp_path / "p", "sub-1_pred.nii.gz"))
    assert [(pair.case, pair.failed) for pair in found.pairs] == [
        ("sub-1/sub-1_desc-lesion_mask", None)
    ]
    assert len(found.set_aside) == 3


def test_names_that_are_not_utf8_are_planned_and_print_escaped(tmp_path: Path) -> None:
    name = "M\udcfcller.nii.gz"
    references = folder(tmp_path / "r", name, "sub-\udcfc_mask.nii.gz")
    found = reasons(references, folder(tmp_path / "p", name))
    assert found == {
        r"M\xfcller": None,
        r"sub-\xfc_mask": r"sub-\xfc: a label is letters and digits only. Rename it, or give both "
        "files the same name",
    }


@pytest.mark.parametrize(
    ("prediction", "scored", "aside"),
    [
        ("sub-1_pred", "sub-1_desc-lesion_mask", "sub-1_space-scanner_desc-lesion_mask"),
        (
            "sub-1_space-scanner_pred",
            "sub-1_space-scanner_desc-lesion_mask",
            "sub-1_desc-lesion_mask",
        ),
    ],
)
def test_a_reference_on_two_grids_is_one_case_on_the_predictions_grid(
    tmp_path: Path, prediction: str, scored: str, aside: str
) -> None:
    references = folder(tmp_path / "r", f"{scored}.nii.gz", f"{aside}.nii.gz")
    found = find_pairs(references, folder(tmp_path / "p", f"{prediction}.nii.gz"))
    assert [(pair.case, pair.failed) for pair in found.pairs] == [(scored, None)]
    assert [path.name for path in found.set_aside] == [f"{aside}.nii.gz"]


def test_names_without_a_subject_are_paired_by_their_paths_alone(tmp_path: Path) -> None:
    references = folder(tmp_path / "r", "MS_001.nii.gz", "MS_002.nii.gz")
    predictions = folder(tmp_path / "p", "MS_001.nii.gz", "MS_003.nii.gz")
    assert reasons(references, predictions) == {"MS_001": None, "MS_002": "no prediction"}


@pytest.mark.parametrize("ending", [".nii.7z", ".nii.tar.gz", ".npy", ".tif"])
def test_a_reference_is_planned_whatever_it_is_stored_in(tmp_path: Path, ending: str) -> None:
    references = folder(tmp_path / "ref", f"sub-1_desc-lesion_mask{ending}")
    predictions = folder(tmp_path / "pred", "sub-1_pred.nii.gz")
    (pair,) = find_pairs(references, predictions).pairs
    assert pair.case == "sub-1_desc-lesion_mask"
    assert f"{ending} is not read" in str(pair.failed)


@pytest.mark.parametrize("desc", ["ICV", "bet", "cerebellum", "NAWM", "nonLesion"])
def test_a_mask_of_anything_but_lesions_is_no_reference_of_them(tmp_path: Path, desc: str) -> None:
    references = folder(tmp_path / "ref", f"sub-1_desc-{desc}_mask.nii.gz")
    predictions = folder(tmp_path / "pred", "sub-1_desc-lesion_pred.nii.gz")
    (pair,) = find_pairs(references, predictions).pairs
    assert "never a reference of lesions" in str(pair.failed)


def test_an_image_whose_lesions_were_filled_is_no_prediction(tmp_path: Path) -> None:
    references = folder(tmp_path / "ref", "sub-1_desc-WML_mask.nii.gz")
    predictions = folder(
        tmp_path / "pred", "sub-1_desc-lesionFilled_T1w.nii.gz", "sub-1_desc-whiteLesions.nii.gz"
    )
    assert paired(references, predictions) == {
        "sub-1_desc-WML_mask": "sub-1_desc-whiteLesions.nii.gz"
    }
