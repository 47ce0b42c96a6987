from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import SiteDataError
from common.imaging.intake.bids import CaseFiles, SiteFiles, list_cases
from common.imaging.intake.findings import Finding
from common.recipe.task import Task
from tests.volumes import image_path, mask_path

WANTED = ("FLAIR", "T1w")
TASK = Task(modalities=WANTED)


def touch(path: Path, content: bytes = b"") -> Path:
    """An empty file: names alone are judged here."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def with_images(root: Path, *, subject: str = "sub-01", session: str | None = None) -> Path:
    for modality in WANTED:
        touch(image_path(root, subject, modality, session))
    return root


def only_case(site: SiteFiles) -> CaseFiles:
    (case,) = site.cases
    return case


def only(site: SiteFiles, code: str) -> Finding:
    (finding,) = [finding for finding in site.findings if finding.code == code]
    return finding


def test_a_case_has_its_images_its_masks_and_its_diagnosis(tmp_path: Path) -> None:
    with_images(tmp_path)
    lesions = touch(mask_path(tmp_path, "sub-01", "lesion"))
    brain = touch(mask_path(tmp_path, "sub-01", "brain"))
    (tmp_path / "participants.tsv").write_text("participant_id\tage\tdiagnosis\nsub-01\t40\tMS\n")
    site = list_cases(tmp_path, TASK)
    assert site.findings == ()
    assert only_case(site) == CaseFiles(
        subject="sub-01",
        session=None,
        images={name: image_path(tmp_path, "sub-01", name) for name in WANTED},
        lesion_mask=lesions,
        brain_mask=brain,
        diagnosis="MS",
    )


def test_a_case_has_its_spinal_cord(tmp_path: Path) -> None:
    """A table without suffix, as BIDS has none for it, beside the image or among the masks."""
    for session in ("ses-01", "ses-02"):
        with_images(tmp_path, session=session)
        touch(mask_path(tmp_path, "sub-01", "lesion", session))
    folder = image_path(tmp_path, "sub-01", "T1w", "ses-01").parent
    beside = touch(folder / "sub-01_ses-01_desc-centreline.tsv")
    mask = touch(mask_path(tmp_path, "sub-01", "cord", "ses-02"))
    among = touch(mask.with_name("sub-01_ses-02_desc-centreline.tsv"))
    site = list_cases(tmp_path, TASK)
    assert site.findings == ()
    assert [case.centreline for case in site.cases] == [beside, among]
    assert [case.cord_mask for case in site.cases] == [None, mask]


def test_two_centrelines_of_a_case_are_not_chosen_between(tmp_path: Path) -> None:
    with_images(tmp_path)
    folder = image_path(tmp_path, "sub-01", "T1w").parent
    touch(folder / "sub-01_desc-centreline.tsv")
    touch(folder / "sub-01_acq-sag_desc-centreline.tsv")
    site = list_cases(tmp_path, TASK)
    assert only(site, "several-files").text.startswith("want one centreline, found 2: ")
    assert only_case(site).centreline is None


def test_images_come_in_the_order_asked_for(tmp_path: Path) -> None:
    with_images(tmp_path)
    assert list(only_case(list_cases(tmp_path, Task(modalities=("T1w", "FLAIR")))).images) == [
        "T1w",
        "FLAIR",
    ]


def test_each_session_is_a_case_with_its_own_masks(tmp_path: Path) -> None:
    for session in ("ses-02", "ses-01"):
        with_images(tmp_path, session=session)
        touch(mask_path(tmp_path, "sub-01", "lesion", session))
    cases = list_cases(tmp_path, TASK).cases
    assert [case.session for case in cases] == ["ses-01", "ses-02"]
    for case in cases:
        assert case.lesion_mask == mask_path(tmp_path, "sub-01", "lesion", case.session)


def test_a_mask_without_a_session_belongs_to_the_only_one(tmp_path: Path) -> None:
    with_images(tmp_path, session="ses-05")
    mask = touch(mask_path(tmp_path, "sub-01", "lesion"))
    assert only_case(list_cases(tmp_path, TASK)).lesion_mask == mask


def test_a_mask_without_a_session_belongs_to_none_of_two(tmp_path: Path) -> None:
    for session in ("ses-01", "ses-02"):
        with_images(tmp_path, session=session)
    touch(mask_path(tmp_path, "sub-01", "lesion"))
    site = list_cases(tmp_path, TASK)
    assert [case.lesion_mask for case in site.cases] == [None, None]
    assert (
        "fits no session with images (found: ses-01, ses-02)"
        in only(site, "mask-without-images").text
    )


@pytest.mark.parametrize("folder", ["derivatives", "derivatives/lesions", "derivatives/x/sub-01"])
def test_a_mask_is_found_by_its_name_wherever_it_lies(tmp_path: Path, folder: str) -> None:
    with_images(tmp_path)
    mask = touch(tmp_path / folder / "sub-01_desc-lesion_mask.nii.gz")
    assert only_case(list_cases(tmp_path, TASK)).lesion_mask == mask


def test_a_contrast_enhanced_image_never_stands_in_for_t1w(tmp_path: Path) -> None:
    touch(image_path(tmp_path, "sub-01", "FLAIR"))
    touch(image_path(tmp_path, "sub-01", "ce-gadolinium_T1w"))
    site = list_cases(tmp_path, TASK)
    assert list(only_case(site).images) == ["FLAIR"]
    finding = only(site, "missing-modality")
    assert finding.level == "blocking"
    assert "sub-01_ce-gadolinium_T1w.nii.gz (a contrast-enhanced ce- image does not" in finding.text


def test_several_runs_are_a_finding_that_lists_the_choices(tmp_path: Path) -> None:
    with_images(tmp_path)
    touch(image_path(tmp_path, "sub-01", "acq-3d_run-2_FLAIR"))
    site = list_cases(tmp_path, TASK)
    assert list(only_case(site).images) == ["T1w"]
    finding = only(site, "several-files")
    assert finding.level == "blocking"
    assert finding.text == (
        "want one FLAIR, found 2: sub-01/anat/sub-01_FLAIR.nii.gz, "
        "sub-01/anat/sub-01_acq-3d_run-2_FLAIR.nii.gz"
    )


def test_one_acquisition_alone_is_taken(tmp_path: Path) -> None:
    for modality in WANTED:
        touch(image_path(tmp_path, "sub-01", f"acq-3d_run-1_{modality}"))
    assert list(only_case(list_cases(tmp_path, TASK)).images) == list(WANTED)


def test_two_lesion_masks_are_a_finding(tmp_path: Path) -> None:
    with_images(tmp_path)
    touch(mask_path(tmp_path, "sub-01", "lesion"))
    touch(tmp_path / "derivatives" / "rater2" / "sub-01_desc-lesion_mask.nii.gz")
    site = list_cases(tmp_path, TASK)
    assert only_case(site).lesion_mask is None
    assert only(site, "several-files").text.startswith("want one lesion mask, found 2")


def test_images_in_another_space_or_under_derivatives_are_not_raw(tmp_path: Path) -> None:
    touch(image_path(tmp_path, "sub-01", "FLAIR"))
    touch(image_path(tmp_path, "sub-01", "space-MNI_T1w"))
    touch(tmp_path / "derivatives" / "coreg" / "sub-01" / "anat" / "sub-01_T1w.nii.gz")
    assert list(only_case(list_cases(tmp_path, TASK)).images) == ["FLAIR"]


def test_a_mask_in_another_space_is_named_and_not_used(tmp_path: Path) -> None:
    with_images(tmp_path)
    touch(tmp_path / "derivatives" / "sub-01" / "sub-01_space-common_desc-lesion_mask.nii.gz")
    site = list_cases(tmp_path, TASK)
    assert only_case(site).lesion_mask is None
    assert "sub-01_space-common_desc-lesion_mask.nii.gz" in only(site, "mask-elsewhere").text


def test_a_missing_lesion_mask_is_a_note_that_names_the_masks_there_are(tmp_path: Path) -> None:
    with_images(tmp_path)
    touch(mask_path(tmp_path, "sub-01", "tumour"))
    finding = only(list_cases(tmp_path, TASK), "no-lesion-mask")
    assert finding.level == "note"
    assert "not used: sub-01_desc-tumour_mask.nii.gz" in finding.text
    assert "sub-01_desc-lesion_mask.nii.gz" in finding.fix


def test_a_subject_with_functional_images_only_is_no_case(tmp_path: Path) -> None:
    with_images(tmp_path)
    touch(tmp_path / "sub-02" / "func" / "sub-02_task-rest_bold.nii.gz")
    assert only_case(list_cases(tmp_path, TASK)).subject == "sub-01"


def test_a_file_in_the_folder_of_another_subject_is_not_used(tmp_path: Path) -> None:
    with_images(tmp_path)
    touch(tmp_path / "sub-01" / "anat" / "sub-02_FLAIR.nii.gz")
    site = list_cases(tmp_path, TASK)
    assert only_case(site).subject == "sub-01"
    assert only(site, "wrong-folder").text == (
        "sub-01/anat/sub-02_FLAIR.nii.gz lies in the folder of sub-01; not used"
    )


@pytest.mark.parametrize("name", ["FLAIR.nii.gz", "sub 01.FLAIR.nii.gz", "sub-01.v2_FLAIR.nii.gz"])
def test_a_name_that_is_not_bids_is_a_warning(tmp_path: Path, name: str) -> None:
    with_images(tmp_path)
    touch(tmp_path / "sub-01" / "anat" / name)
    assert name in only(list_cases(tmp_path, TASK), "name").text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("a.dcm", b"", id="by its ending"),
        pytest.param("IM0001", b"\0" * 128 + b"DICM", id="by its content"),
        pytest.param("1.2.840.113619.2", b"\0" * 128 + b"DICM", id="named by its UID"),
    ],
)
def test_dicom_is_a_finding_with_its_converter(tmp_path: Path, name: str, content: bytes) -> None:
    with_images(tmp_path)
    touch(tmp_path / "sub-02" / "dicom" / name, content)
    touch(tmp_path / "sourcedata" / "sub-02" / name, content)
    finding = only(list_cases(tmp_path, TASK), "dicom")
    assert (finding.level, finding.subject) == ("warning", "sub-02")
    assert finding.text.startswith("1 DICOM files in sub-02")
    assert "dcm2niix" in finding.fix


def test_a_text_file_is_no_dicom(tmp_path: Path) -> None:
    with_images(tmp_path)
    touch(tmp_path / "README", b"\0" * 128 + b"none")
    touch(tmp_path / "CHANGES", b"")
    assert [finding.code for finding in list_cases(tmp_path, TASK).findings] == ["no-lesion-mask"]


def test_participants_may_be_listed_without_the_prefix_or_images(tmp_path: Path) -> None:
    with_images(tmp_path)
    (tmp_path / "participants.tsv").write_bytes(
        b"\xef\xbb\xbfparticipant_id\tdiagnosis\r\n01\tHealthy\r\nsub-07\tn/a\r\n"
    )
    site = list_cases(tmp_path, TASK)
    assert only_case(site).diagnosis == "Healthy"
    assert "sub-07" in only(site, "participant-without-images").text


@pytest.mark.parametrize("content", [b"name\tdiagnosis\nx\tMS\n", b"participant_id\n\xff\xfe\n"])
def test_a_table_of_participants_that_cannot_be_read_is_a_warning(
    tmp_path: Path, content: bytes
) -> None:
    with_images(tmp_path)
    (tmp_path / "participants.tsv").write_bytes(content)
    site = list_cases(tmp_path, TASK)
    assert only_case(site).diagnosis is None
    assert only(site, "participants").level == "warning"


def test_folders_that_link_in_a_circle_are_read_once(tmp_path: Path) -> None:
    root = with_images(tmp_path / "site")
    (root / "sub-01" / "again").symlink_to(root)
    elsewhere = with_images(tmp_path / "elsewhere", subject="sub-02") / "sub-02"
    (root / "sub-02").symlink_to(elsewhere)
    assert [case.subject for case in list_cases(root, TASK).cases] == ["sub-01", "sub-02"]


def test_a_site_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SiteDataError, match="nowhere: no such folder"):
        list_cases(tmp_path / "nowhere", TASK)


def left_out(site: SiteFiles) -> dict[str, set[str]]:
    """Case -> the codes of what blocks it."""
    found: dict[str, set[str]] = {case.name: set() for case in site.cases}
    for finding in site.findings:
        if finding.level == "blocking":
            found[finding.case].add(finding.code)
    return {name: codes for name, codes in found.items() if codes}


def test_two_visits_with_hyphens_in_their_labels_are_two_cases_and_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "sub-07" / "anat"
    touch(folder / "sub-07_ses-2021-01-31_FLAIR.nii.gz")
    touch(folder / "sub-07_ses-2021-11-30_T1w.nii.gz")
    site = list_cases(tmp_path, TASK)
    assert left_out(site) == {
        "sub-07_ses-2021-01-31": {"name"},
        "sub-07_ses-2021-11-30": {"name"},
    }
    assert all(not case.images for case in site.cases)
    assert all("a label is letters and digits only" in f.text for f in site.findings)
    assert "sub-07_ses-20211130_T1w.nii.gz" in site.findings[1].fix


def test_two_patients_with_a_site_code_are_two_cases_and_left_out(tmp_path: Path) -> None:
    for subject in ("sub-LYO-1", "sub-LYO-2"):
        touch(tmp_path / subject / "anat" / f"{subject}_FLAIR.nii.gz")
    assert left_out(list_cases(tmp_path, TASK)) == {"sub-LYO-1": {"name"}, "sub-LYO-2": {"name"}}


def test_images_of_two_session_folders_are_two_cases_though_their_names_have_none(
    tmp_path: Path,
) -> None:
    touch(tmp_path / "sub-01" / "ses-1" / "anat" / "sub-01_FLAIR.nii.gz")
    touch(tmp_path / "sub-01" / "ses-2" / "anat" / "sub-01_T1w.nii.gz")
    assert left_out(list_cases(tmp_path, TASK)) == {
        "sub-01_ses-1": {"missing-modality"},
        "sub-01_ses-2": {"missing-modality"},
    }


def test_a_draft_of_a_mask_is_not_the_reference(tmp_path: Path) -> None:
    with_images(tmp_path)
    touch(mask_path(tmp_path, "sub-01", "lesion-v2"))
    site = list_cases(tmp_path, TASK)
    assert only_case(site).lesion_mask is None
    assert "desc-lesion-v2: a label is letters and digits only" in only(site, "name").text


@pytest.mark.parametrize("ending", [".NII.GZ", ".Nii", ".hdr", ".mgz", ".nii.xz", ".nrrd", ".mha"])
def test_a_subject_in_another_format_is_planned_and_left_out(tmp_path: Path, ending: str) -> None:
    with_images(tmp_path)
    for modality in WANTED:
        path = image_path(tmp_path, "sub-02", modality)
        touch(path.with_name(path.name.replace(".nii.gz", ending)))
    site = list_cases(tmp_path, TASK)
    assert [case.name for case in site.cases] == ["sub-01", "sub-02"]
    assert left_out(site) == {"sub-02": {"other-format"}}
    assert f"{ending} is not read" in only(site, "other-format").text


def test_a_reference_in_another_format_leaves_its_case_out(tmp_path: Path) -> None:
    with_images(tmp_path)
    path = mask_path(tmp_path, "sub-01", "lesion")
    touch(path.with_name(path.name.replace(".nii.gz", ".mgz")))
    assert left_out(list_cases(tmp_path, TASK)) == {"sub-01": {"other-format"}}


def test_an_image_that_is_not_fetched_leaves_its_case_out_with_the_command(tmp_path: Path) -> None:
    with_images(tmp_path)
    path = image_path(tmp_path, "sub-01", "T1w")
    path.unlink()
    path.symlink_to("../.git/annex/objects/x")
    site = list_cases(tmp_path, TASK)
    assert left_out(site) == {"sub-01": {"no-content"}}
    assert "git annex get sub-01_T1w.nii.gz" in only(site, "no-content").fix


def test_every_subject_folder_is_named_whatever_it_holds(tmp_path: Path) -> None:
    with_images(tmp_path)
    (tmp_path / "sub-02").mkdir()
    touch(tmp_path / "sub-03" / "anat" / "flair.nii.gz")
    touch(tmp_path / "sub-04" / "report.pdf")
    (tmp_path / "sub-05").symlink_to("/nowhere/sub-05")
    (tmp_path / "sub-06").symlink_to(tmp_path / "sub-01")
    assert left_out(list_cases(tmp_path, TASK)) == {
        "sub-02": {"subject-without-images"},
        "sub-03": {"name"},
        "sub-04": {"subject-without-images"},
        "sub-05": {"subject-without-images"},
        "sub-06": {"subject-without-images"},
    }


def test_a_link_to_a_sidecar_is_no_subject(tmp_path: Path) -> None:
    """A folder of links, such as the pooled site, or a clone whose sidecars are not fetched."""
    with_images(tmp_path)
    image = image_path(tmp_path, "sub-01", "FLAIR")
    sidecar = tmp_path / "sidecar.json"
    sidecar.write_text("{}", encoding="utf-8")
    image.with_name("sub-01_FLAIR.json").symlink_to(sidecar)
    image.with_name("sub-01_T1w.json").symlink_to("../.git/annex/objects/x")
    assert left_out(list_cases(tmp_path, TASK)) == {}


def test_a_mask_of_another_run_is_not_used(tmp_path: Path) -> None:
    for modality in WANTED:
        touch(image_path(tmp_path, "sub-01", f"run-1_{modality}"))
    touch(mask_path(tmp_path, "sub-01", "lesion").with_name("sub-01_run-2_desc-lesion_mask.nii.gz"))
    site = list_cases(tmp_path, TASK)
    assert only_case(site).lesion_mask is None
    assert "its run is 2, the images have 1, 1" in only(site, "mask-without-images").text


def test_a_mask_of_one_image_is_used_though_the_other_has_another_acquisition(
    tmp_path: Path,
) -> None:
    touch(image_path(tmp_path, "sub-01", "acq-space_FLAIR"))
    touch(image_path(tmp_path, "sub-01", "acq-mprage_run-1_T1w"))
    mask = touch(tmp_path / "derivatives" / "sub-01_acq-space_run-01_desc-lesion_mask.nii.gz")
    assert only_case(list_cases(tmp_path, TASK)).lesion_mask == mask


def test_a_reference_on_the_scanners_grid_is_no_mask_of_the_case_and_no_finding(
    tmp_path: Path,
) -> None:
    with_images(tmp_path)
    here = touch(mask_path(tmp_path, "sub-01", "lesion"))
    touch(image_path(tmp_path, "sub-01", "space-scanner_desc-lesion_mask"))
    site = list_cases(tmp_path, TASK)
    assert only_case(site).lesion_mask == here
    assert site.findings == ()


def test_a_name_that_is_not_utf8_is_a_finding_that_prints_escaped(tmp_path: Path) -> None:
    with_images(tmp_path)
    touch(tmp_path / "sub-01" / "anat" / "sub-01_acq-H\udcf6he_FLAIR.nii.gz")
    touch(tmp_path / "sub-B\udce4r" / "anat" / "sub-B\udce4r_FLAIR.nii.gz")
    touch(tmp_path / "derivatives" / "L\udce4sionen" / "sub-01_desc-lesion_mask.nii.gz")
    site = list_cases(tmp_path, TASK)
    assert left_out(site) == {r"sub-B\xe4r": {"name"}}
    assert only_case(SiteFiles(site.cases[:1], ())).lesion_mask is None
    texts = "\n".join(map(str, site.findings))
    assert r"sub-01_acq-H\xf6he_FLAIR.nii.gz" in texts
    assert texts.encode().count(b"the name is not UTF-8") == 2
