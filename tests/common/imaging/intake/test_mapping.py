from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import SiteDataError
from common.imaging.intake.bids import SiteFiles
from common.imaging.intake.intake import survey
from common.imaging.intake.mapping import mapped_cases
from common.recipe.task import Task
from tests.volumes import put, stripped_brain, two_lesions

TASK = Task(modalities=("FLAIR", "T1w"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder as a study leaves it: one subject with two images and a mask."""
    folder = tmp_path / "the study"
    put(stripped_brain(seed=1), folder / "p 1" / "fl.v2.nii.gz")
    put(stripped_brain(seed=2), folder / "p 1" / "t1.nii")
    put(two_lesions(), folder / "p 1" / "roi.nii.gz")
    return folder


GOOD = (
    ("A1", "", "FLAIR", "p 1/fl.v2.nii.gz"),
    ("sub-A1", "n/a", "T1w", "p 1/t1.nii"),
    ("A1", "", "lesion_mask", "./p 1/roi.nii.gz"),
)


def mapped(
    root: Path, *rows: tuple[str, ...], header: str = "subject\tsession\tmodality\tpath"
) -> SiteFiles:
    table = root / "mapping.tsv"
    table.write_text("\n".join([header, *("\t".join(row) for row in rows)]) + "\n")
    return mapped_cases(table, root=root, task=TASK)


def test_a_table_makes_the_case_that_bids_names_would(root: Path) -> None:
    site = mapped(root, *GOOD)
    (case,) = site.cases
    assert site.findings == ()
    assert (case.subject, case.session) == ("sub-A1", None)
    assert dict(case.images) == {
        "FLAIR": root / "p 1" / "fl.v2.nii.gz",
        "T1w": root / "p 1" / "t1.nii",
    }
    assert case.lesion_mask == root / "p 1" / "roi.nii.gz"


def test_a_mapped_folder_is_surveyed_like_any_other(root: Path) -> None:
    mapped(root, *GOOD)
    intake = survey(root, task=TASK, mapping=root / "mapping.tsv")
    (case,) = intake.usable
    assert (case.name, case.n_lesion_voxels) == ("sub-A1", 8)


def test_a_table_may_name_the_spinal_cord(root: Path) -> None:
    cord = put(two_lesions(), root / "p 1" / "cord.nii.gz")
    nodes = root / "p 1" / "nodes.tsv"
    nodes.write_text("x_mm\ty_mm\tz_mm\n")
    rows = (("A1", "", "cord_mask", "p 1/cord.nii.gz"), ("A1", "", "centreline", "p 1/nodes.tsv"))
    (case,) = mapped(root, *GOOD, *rows).cases
    assert (case.cord_mask, case.centreline) == (cord, nodes)


def test_a_table_may_name_new_lesions_and_the_raters_who_drew_them(root: Path) -> None:
    for n in (1, 2):
        put(two_lesions(), root / "p 1" / f"r{n}.nii.gz")
    rows = (
        ("A1", "10", "FLAIR", "p 1/fl.v2.nii.gz"),
        ("A1", "9", "FLAIR", "p 1/t1.nii"),
        ("A1", "10", "newlesion_mask", "p 1/roi.nii.gz"),
        ("A1", "10", "newlesionRater2_mask", "p 1/r2.nii.gz"),
        ("A1", "10", "newlesionRater1_mask", "p 1/r1.nii.gz"),
    )
    mapped(root, *rows)
    task = Task(modalities=("FLAIR",), target="new-lesions", raters=2)
    intake = survey(root, task=task, mapping=root / "mapping.tsv")
    (case,) = intake.usable
    assert (case.name, case.lesion_mask) == ("sub-A1_ses-10", root / "p 1" / "roi.nii.gz")
    assert [path.name for path in case.rater_masks.values()] == ["r1.nii.gz", "r2.nii.gz"]
    assert case.images["FLAIR-2"] == root / "p 1" / "fl.v2.nii.gz"
    assert {finding.code for finding in intake.findings} == {"brain-mask-made"}
    (plain,) = [
        one
        for one in survey(
            root, task=Task(modalities=("FLAIR",)), mapping=root / "mapping.tsv"
        ).usable
        if one.session == "ses-10"
    ]
    assert plain.lesion_mask is None


def test_sessions_are_kept_apart(root: Path) -> None:
    rows = (("A1", "ses-1", "FLAIR", "p 1/fl.v2.nii.gz"), ("A1", "2", "FLAIR", "p 1/t1.nii"))
    assert [case.session for case in mapped(root, *rows).cases] == ["ses-1", "ses-2"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("A1", "", "T1w", "p 1/t2.nii"), "line 4: no such file: p 1/t2.nii"),
        (("A1", "", "T1w", "../t1.nii"), "line 4: want a file below"),
        (("A1", "", "T1w", "/etc/t1.nii"), "line 4: want a file below"),
        (("A1", "", "T1w", ""), "line 4: want a file below"),
        (("A1", "", "T1w", "n" * 300 + ".nii"), "line 4: cannot look for 'nnn"),
        (("A1", "", "T1w", "p 1/t1\0.nii"), "line 4: "),
        (("A1", "", "T1w", "mapping.tsv"), "line 4: want a NIfTI file"),
        (("A1", "", "FLAIR", "p 1/t1.nii"), "line 4: a second FLAIR for this case, the first is "),
        (("A1", "", "T1w", "p 1/fl.v2.nii.gz"), "line 4: the file of line 2 again"),
        (("A1", "", "centreline", "p 1/t1.nii"), "line 4: want a table (.tsv), found 'p 1/t1"),
        (("A1", "", "cord_mask", "mapping.tsv"), "line 4: want a NIfTI file"),
        (("A1", "", "T1 w", "p 1/t1.nii"), "line 4: want a modality such as FLAIR"),
        (("A1", "", "brain", "p 1/t1.nii"), ""),
        (("A1", "", "T1w", "p 1/t1.mgz"), "line 4: want a NIfTI file (.nii or .nii.gz), found 'p"),
        (("A1", "", "T1w", "p 1/t1.NII"), "Rename it to t1.nii."),
    ],
)
def test_a_line_that_cannot_be_used_leaves_its_case_out(
    root: Path, row: tuple[str, ...], message: str
) -> None:
    site = mapped(root, GOOD[0], GOOD[2], row)
    blocking = [finding for finding in site.findings if finding.level == "blocking"]
    assert {finding.case for finding in blocking} == {"sub-A1"}
    assert {"missing-modality"} <= {finding.code for finding in blocking}
    assert any(message in finding.text for finding in blocking)


def test_a_path_out_of_the_folder_one_stands_in_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(stripped_brain(seed=3), root.parent / "secret.nii.gz")
    monkeypatch.chdir(root)
    site = mapped(Path(), GOOD[0], ("A1", "", "T1w", "../secret.nii.gz"))
    assert dict(site.cases[0].images) == {"FLAIR": Path("p 1/fl.v2.nii.gz")}
    assert any("want a file below ., found '../secret" in f.text for f in site.findings)


def test_a_link_in_the_folder_is_followed_as_in_a_bids_folder(root: Path) -> None:
    elsewhere = put(stripped_brain(seed=3), root.parent / "archive" / "t1.nii")
    (root / "linked.nii").symlink_to(elsewhere)
    site = mapped(root, GOOD[0], GOOD[2], ("A1", "", "T1w", "linked.nii"))
    assert site.findings == ()
    assert site.cases[0].images["T1w"] == root / "linked.nii"


def test_a_line_without_a_subject_is_reported_on_the_folder(root: Path) -> None:
    site = mapped(root, *GOOD, ("a b", "", "FLAIR", "p 1/t1.nii"))
    (finding,) = site.findings
    assert (finding.level, finding.case) == ("blocking", "(whole folder)")
    assert "line 5: want a subject of letters and digits, found 'a b'" in finding.text


def test_a_session_that_is_no_label_is_reported(root: Path) -> None:
    (finding, *_) = mapped(root, ("A1", "01.02", "FLAIR", "p 1/t1.nii")).findings
    assert "want a session of letters and digits, or none, found '01.02'" in finding.text
    assert finding.case == "sub-A1_ses-01.02"


def test_two_dates_with_hyphens_are_two_cases_and_left_out(root: Path) -> None:
    rows = (
        ("A1", "2021-01-31", "FLAIR", "p 1/fl.v2.nii.gz"),
        ("A1", "2021-11-30", "T1w", "p 1/t1.nii"),
        ("LYO-1", "", "FLAIR", "p 1/roi.nii.gz"),
    )
    site = mapped(root, *rows)
    assert [case.name for case in site.cases] == ["sub-A1_ses-2021-01-31", "sub-A1_ses-2021-11-30"]
    assert not any(case.images for case in site.cases)
    told = [f for f in site.findings if "a label is letters and digits only" in f.text]
    assert len(told) == 3


def test_a_missing_column_is_an_error_that_names_it(root: Path) -> None:
    with pytest.raises(SiteDataError, match="found no modality, path"):
        mapped(root, header="subject\tsession\tfile")


def test_commas_instead_of_tabs_are_an_error(root: Path) -> None:
    with pytest.raises(SiteDataError, match="with tabs between, found no subject"):
        mapped(root, header="subject,session,modality,path")


def test_a_table_that_is_no_text_is_an_error(root: Path) -> None:
    table = root / "p 1" / "roi.nii.gz"
    with pytest.raises(SiteDataError, match="cannot be read"):
        mapped_cases(table, root=root, task=TASK)


def test_a_folder_that_is_not_there_is_an_error(root: Path) -> None:
    with pytest.raises(SiteDataError, match="no such folder"):
        mapped_cases(root / "mapping.tsv", root=root / "nowhere", task=TASK)
