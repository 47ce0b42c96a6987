from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.imaging.bids_name import (
    disagreeing,
    folder_labels,
    raw_label,
    read_name,
    split_ending,
    values_of,
)

LETTERS = "a label is letters and digits only"


def test_a_name_is_its_entities_its_suffix_and_its_ending() -> None:
    name = read_name("sub-01_ses-02_acq-3D_run-1_desc-lesion_mask.nii.gz")
    assert dict(name.entities) == {
        "sub": "01",
        "ses": "02",
        "acq": "3D",
        "run": "1",
        "desc": "lesion",
    }
    assert (name.suffix, name.ending, name.fault) == ("mask", ".nii.gz", None)


def test_a_name_may_end_with_an_entity() -> None:
    name = read_name("sub-01_ses-1.nii")
    assert (dict(name.entities), name.suffix) == ({"sub": "01", "ses": "1"}, None)
    assert name.fault is None


@pytest.mark.parametrize(
    ("name", "fault", "suggested"),
    [
        (
            "sub-01_ses-2021-11-30_FLAIR.nii.gz",
            f"ses-2021-11-30: {LETTERS}",
            "sub-01_ses-20211130_FLAIR.nii.gz",
        ),
        ("sub-LYO-7_T1w.nii", f"sub-LYO-7: {LETTERS}", "sub-LYO7_T1w.nii"),
        ("sub-01_acq-3.5T_FLAIR.nii.gz", f"acq-3.5T: {LETTERS}", "sub-01_acq-35T_FLAIR.nii.gz"),
        ("sub-Zoë_FLAIR.nii.gz", f"sub-Zoë: {LETTERS}", "sub-Zo_FLAIR.nii.gz"),
        ("sub-_FLAIR.nii.gz", f"sub-: no label; {LETTERS}", None),
        ("sub-01_sub-02_FLAIR.nii.gz", "sub- stands twice", None),
        ("sub-01_ses-2019_03_01_FLAIR.nii", "03 between two _: want entity-label", None),
        ("sub-01__FLAIR.nii", "nothing between two _: want entity-label", None),
        ("sub-01_.nii", "nothing after the last _: want a word", None),
        ("sub-01_T1w.old.nii", "T1w.old after the last _: want a word", None),
        ("sub-01_20210131.nii", "20210131 after the last _: want a word", None),
        ("sub-01_mask20210131.nii", "mask20210131 after the last _: want a word", None),
        ("Sub-01_T1w.nii", "Sub-01: want small letters before the hyphen", "sub-01_T1w.nii"),
    ],
)
def test_what_is_no_label_is_refused_and_never_cut(
    name: str, fault: str, suggested: str | None
) -> None:
    read = read_name(name)
    assert str(read.fault).startswith(fault)
    assert read.suggested == suggested
    assert not {"2021", "LYO", "3", "Zo", "2019-03-01"} & set(read.entities.values())


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("sub-1_desc-lesion_mask", "lesion"),
        ("sub-1_desc-newlesionRater2_mask", "newlesion"),
        ("sub-1_desc-lesionRater1_mask", "lesion"),
        ("sub-1_desc-brain_mask", "brain"),
        ("sub-1_desc-cord_mask", "cord"),
        ("sub-1_label-WM_probseg", "wm"),
        ("sub-1_desc-WMH_mask", "lesion"),
        ("sub-1_brainmask", "brain"),
        ("sub-1_desc-WML_mask", "lesion"),
        ("sub-1_desc-whiteMatterHyperintensities_mask", "lesion"),
        ("sub-1_desc-ICV_mask", "icv"),
        ("sub-1_desc-bet_mask", "brain"),
        ("sub-1_desc-beta2_pred", None),
        ("sub-1_label-hippocampusL_mask", "hippocamp"),
        ("sub-1_desc-NAWM_mask", "nawm"),
        ("sub-1_desc-nonLesion_mask", "area without lesions"),
        ("sub-1_desc-lesionFilled_T1w", "area without lesions"),
        ("sub-1_desc-unet_pred", None),
        ("sub-1_pred", None),
    ],
)
def test_the_kind_of_a_mask_is_in_its_name(name: str, kind: str | None) -> None:
    assert read_name(f"{name}.nii.gz").kind == kind


@pytest.mark.parametrize(
    ("one", "other", "differs"),
    [
        ("sub-1_run-1_mask", "sub-1_run-01_pred", None),
        ("sub-1_run-1_mask", "sub-1_run-2_pred", "run"),
        ("sub-1_ses-1_mask", "sub-1_ses-01_pred", "ses"),
        ("sub-1_acq-3D_mask", "sub-1_pred", None),
        ("sub-1_desc-lesion_mask", "sub-1_desc-unet_pred", None),
        ("sub-1_dir-AP_mask", "sub-1_dir-PA_mask", "dir"),
        ("sub-1_space-MNI_mask", "sub-1_space-T1w_mask", "space"),
    ],
)
def test_two_names_agree_in_every_entity_that_both_have(
    one: str, other: str, differs: str | None
) -> None:
    assert disagreeing(read_name(one).entities, read_name(other).entities) == differs


@pytest.mark.parametrize(
    ("path", "stem", "ending"),
    [
        ("a/b.nii.gz", "a/b", ".nii.gz"),
        ("b.NII.GZ", "b", ".NII.GZ"),
        ("b.v2.nii", "b.v2", ".nii"),
        ("b.hdr", "b", ".hdr"),
        ("b.nii.bz2", "b", ".nii.bz2"),
        ("b.mgz", "b", ".mgz"),
        ("b.nii.7z", "b", ".nii.7z"),
        ("b.nii.tar.gz", "b", ".nii.tar.gz"),
        ("b.npz", "b", ".npz"),
        ("b.TIFF", "b", ".TIFF"),
        ("b.tar.gz", "b.tar.gz", ""),
        ("b.txt", "b.txt", ""),
        ("nii", "nii", ""),
    ],
)
def test_the_endings_of_images_are_known_in_any_case(path: str, stem: str, ending: str) -> None:
    assert split_ending(path) == (stem, ending)


def test_folders_have_labels_as_they_are_written() -> None:
    folders = ("data", "sub-01_ses-2", "ses-2019-03-01", "sub-A_old", "anat")
    assert list(folder_labels(folders)) == [
        ("sub", "01"),
        ("ses", "2"),
        ("ses", "2019-03-01"),
        ("sub", "A_old"),
    ]


labels = st.text("ab019-", max_size=4)


@given(labels, labels, labels, labels)
def test_names_with_other_labels_never_read_as_one(a: str, b: str, c: str, d: str) -> None:
    one, other = read_name(f"sub-{a}_ses-{b}_T1w.nii"), read_name(f"sub-{c}_ses-{d}_T1w.nii")
    if one.fault is None and other.fault is None and (a, b) != (c, d):
        assert values_of(one.entities) != values_of(other.entities)
    assert one.fault is not None or dict(one.entities) == {"sub": a, "ses": b}
    assert (raw_label("sub", f"sub-{a}_T1w.nii"), one.suffix) == (a, "T1w")


@given(st.text(max_size=40))
def test_any_text_is_read_without_an_exception(text: str) -> None:
    name = read_name(text)
    assert all(label.isalnum() and label.isascii() for label in name.entities.values())
