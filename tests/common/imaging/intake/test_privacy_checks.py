from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import nibabel
import pytest

from common.imaging.bids_name import MOST_SIDECAR_BYTES
from common.imaging.intake.privacy_checks import traces_in, what_names_somebody
from tests.volumes import image_path, oblique_affine, put, stripped_brain, write_site

NIB: Any = nibabel  # Any, for nibabel types only part of its own functions

SECRETS = ("MUSTERMANN", "Erika", "1979", "Charite", "20190523", "Lyon")


def sidecar(tmp_path: Path, content: object) -> list[tuple[str, str]]:
    path = tmp_path / "sub-01_FLAIR.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return list(traces_in(path))


def with_header(path: Path, **fields: bytes) -> Path:
    image = NIB.Nifti1Image(stripped_brain().data, oblique_affine())
    for name, text in fields.items():
        image.header[name] = text
    NIB.save(image, path)
    return path


@pytest.mark.parametrize(
    "key",
    [
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "InstitutionName",
        "ReferringPhysicianName",
        "OperatorsName",
        "DeviceSerialNumber",
        "StationName",
        "SeriesInstanceUID",
        "AccessionNumber",
        "OtherPatientIDs",
        "patient_name",
    ],
)
def test_a_key_that_names_somebody_is_found_however_deep(tmp_path: Path, key: str) -> None:
    content = {"EchoTime": 0.1, "global": {"const": [{"deep": {key: "Erika"}}]}}
    assert sidecar(tmp_path, content) == [("warning", key)]


@pytest.mark.parametrize("value", ["", None, "n/a", "Anonymous", "XXXX", "anonymized", [], {}])
def test_a_key_without_a_name_in_it_is_fine(tmp_path: Path, value: object) -> None:
    assert sidecar(tmp_path, {"PatientName": value}) == []


@pytest.mark.parametrize(
    "value",
    ["2019-05-23", "2019-05-23T10:11:12.5", "20190523", "23.05.2019", "23-May-2019", "May 23 2019"],
)
def test_a_date_is_found_under_any_key(tmp_path: Path, value: str) -> None:
    assert sidecar(tmp_path, {"Scanned": value}) == [("warning", "Scanned (something like a date)")]


def test_a_date_shifted_before_1925_is_fine(tmp_path: Path) -> None:
    assert sidecar(tmp_path, {"AcquisitionDateTime": "1921-05-23T10:11:12"}) == []


@pytest.mark.parametrize(
    "content",
    [
        {"PatientPosition": "HFS", "ImageOrientationPatient": [0.99, 0.05], "Rows": 512},
        {"ImagingFrequency": 127.766952, "SoftwareVersions": "syngo MR E11", "Defaced": True},
        {"Authors": ["A University Hospital"], "RepetitionTime": 12000.0},
    ],
)
def test_what_a_scanner_says_of_itself_is_fine(tmp_path: Path, content: object) -> None:
    assert sidecar(tmp_path, content) == []


def test_age_sex_and_time_of_day_are_notes(tmp_path: Path) -> None:
    content = {"PatientSex": "F", "PatientAge": "060Y", "AcquisitionTime": "10:11:12.500"}
    assert sidecar(tmp_path, content) == [
        ("note", "PatientSex"),
        ("note", "PatientAge"),
        ("note", "AcquisitionTime (a time of day)"),
    ]


@pytest.mark.parametrize(
    ("field", "text", "trace"),
    [
        ("descrip", b"MUSTERMANN^Erika", ("warning", "descrip (something like a name)")),
        ("descrip", b"Charite Klinikum", ("warning", "descrip (something like an institution)")),
        ("aux_file", b"23.05.2019", ("warning", "aux_file (something like a date)")),
        ("db_name", b"MR 4711", ("note", "db_name (free text)")),
        ("descrip", b"TE=12;Time=231118.330", ("note", "descrip (a time of day)")),
        ("descrip", b"spm - realigned", None),
        ("descrip", b"6.0.5:9e026117", None),
        ("intent_name", b"probability", None),
    ],
)
def test_free_texts_of_a_header_are_judged_by_their_look(
    tmp_path: Path, field: str, text: bytes, trace: tuple[str, str] | None
) -> None:
    path = with_header(tmp_path / "image.nii.gz", **{field: text})
    assert list(traces_in(path)) == ([] if trace is None else [trace])


def test_extensions_of_a_header_are_distinguished_by_kind(tmp_path: Path) -> None:
    image = NIB.Nifti1Image(stripped_brain().data, oblique_affine())
    image.header.extensions.append(NIB.nifti1.Nifti1Extension(6, b"drawn by hand"))
    image.header.extensions.append(NIB.nifti1.Nifti1Extension(44, b"by MUSTERMANN^Erika"))
    NIB.save(image, tmp_path / "image.nii")
    assert list(traces_in(tmp_path / "image.nii")) == [
        ("note", "header extension 6 (comment)"),
        ("warning", "header extension 44 (other), something like a name"),
    ]


def test_a_dicom_extension_tells_whatever_it_holds(tmp_path: Path) -> None:
    content = bytearray((put(stripped_brain(), tmp_path / "image.nii")).read_bytes())
    content[348:352] = b"\1\0\0\0"
    content[352:352] = struct.pack("<ii", 16, 2) + bytes(8)
    struct.pack_into("<f", content, 108, 368)
    (tmp_path / "image.nii").write_bytes(bytes(content))
    assert list(traces_in(tmp_path / "image.nii")) == [("warning", "header extension 2 (DICOM)")]


def test_tables_are_searched_for_names_and_dates(tmp_path: Path) -> None:
    table = tmp_path / "participants.tsv"
    table.write_text(
        "participant_id\tlast_name\tdiagnosis\tseen\tage\n"
        "sub-01\tMUSTERMANN\tMS\t2019-05-23\t91\nsub-02\tn/a\tMS\tn/a\t40\n"
    )
    assert list(traces_in(table)) == [
        ("warning", "column last_name"),
        ("warning", "column seen (something like a date)"),
        ("note", "column age (above 89 years)"),
    ]


def test_a_table_in_utf_16_is_searched_as_well(tmp_path: Path) -> None:
    table = tmp_path / "participants.tsv"
    table.write_bytes("participant_id\tbirth\r\nsub-01\t1979\r\n".encode("utf-16"))
    assert list(traces_in(table)) == [("warning", "column birth")]


def test_the_file_names_of_a_scans_table_are_no_names(tmp_path: Path) -> None:
    table = tmp_path / "sub-01_scans.tsv"
    table.write_text("filename\tacq_time\nanat/sub-01_FLAIR.nii.gz\t1911-05-23T00:00:00\n")
    assert list(traces_in(table)) == []


def test_findings_name_file_and_key_and_never_the_value(tmp_path: Path) -> None:
    root = write_site(tmp_path, subjects=["sub-01"], sessions=["ses-02"])
    flair = image_path(root, "sub-01", "FLAIR", "ses-02")
    with_header(flair, descrip=b"MUSTERMANN^Erika 1979-03-12", db_name=b"Lyon")
    beside = flair.with_name(flair.name.replace("nii.gz", "json"))
    beside.write_text(json.dumps({"InstitutionName": "Charite", "StudyDate": "20190523"}))
    (root / "participants.tsv").write_text("participant_id\tbirth\nsub-01\t1979\n")
    folder, note, warning = sorted(
        what_names_somebody(root), key=lambda finding: (finding.subject or "", finding.level)
    )
    assert (folder.subject, warning.subject, warning.session) == (None, "sub-01", "ses-02")
    assert "participants.tsv: column birth" in folder.text
    assert "FLAIR.nii.gz: db_name (free text)" in note.text
    assert "FLAIR.json: InstitutionName, StudyDate (something like a date)" in warning.text
    assert "FLAIR.nii.gz: descrip" in warning.text
    shown = " ".join(str(finding) for finding in (folder, note, warning))
    assert not [secret for secret in SECRETS if secret in shown]


def test_files_that_cannot_be_read_are_no_error(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"\xff\xfe{")
    (tmp_path / "b.json").write_text("[" * 100_000)
    (tmp_path / "c.tsv").write_bytes(b"a\tb\n\xff\t1\n")
    (tmp_path / "d.nii.gz").write_bytes(b"\x1f\x8b???")
    (tmp_path / "e.json").symlink_to(tmp_path / "e.json")
    (finding,) = what_names_somebody(tmp_path)
    assert finding.level == "note"
    assert "a.json: the whole file" in finding.text


def test_a_sidecar_too_long_to_be_one_is_named_and_not_read(tmp_path: Path) -> None:
    path = tmp_path / "sub-01_FLAIR.json"
    path.write_text('{"a": [' + "1," * (MOST_SIDECAR_BYTES // 2) + "1]}", encoding="utf-8")
    assert list(traces_in(path)) == [("note", "the whole file (no JSON that can be read)")]
