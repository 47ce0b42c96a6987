from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.imaging.intake.findings import Finding
from common.imaging.intake.participants import is_control, read_participants


def read(
    tmp_path: Path, text: str, encoding: str = "utf-8"
) -> tuple[dict[str, str | None], list[Finding]]:
    path = tmp_path / "participants.tsv"
    path.write_bytes(text.encode(encoding))
    return read_participants(path)


@pytest.mark.parametrize("rows", [("Control", "RRMS"), ("RRMS", "Control")])
def test_of_two_lines_that_contradict_each_other_neither_is_believed(
    tmp_path: Path, rows: tuple[str, str]
) -> None:
    lines = "".join(f"sub-07\t{word}\n" for word in rows)
    found, findings = read(tmp_path, f"participant_id\tdiagnosis\n{lines}sub-08\tCIS\n")
    assert found == {"sub-07": None, "sub-08": "CIS"}
    (finding,) = findings
    assert (finding.level, finding.code) == ("warning", "participants-twice")
    assert f"sub-07 ({rows[0]}, {rows[1]})" in finding.text


def test_two_lines_that_say_the_same_are_believed(tmp_path: Path) -> None:
    text = "participant_id\tdiagnosis\nsub-1\tHC\n1\thealthy control\nsub-2\tn/a\nsub-2\tMS\n"
    assert read(tmp_path, text) == ({"sub-1": "HC", "sub-2": "MS"}, [])


@pytest.mark.parametrize(
    ("word", "control"),
    [
        ("healthy", True),
        ("HC", True),
        ("hc", True),
        ("Healthy_Control", True),
        ("healthy volunteer", True),
        ("CONTROLS", True),
        ("MS", False),
        ("patient", False),
        ("gesund", False),
        (None, False),
    ],
)
def test_the_words_for_healthy_are_known(word: str | None, control: bool) -> None:
    assert is_control(word) is control


def test_a_word_that_nobody_knows_is_a_finding_with_those_that_are(tmp_path: Path) -> None:
    text = "participant_id\tdiagnosis\nsub-1\tgesund\nsub-2\tgesund\nsub-3\tMS\n"
    (finding,) = read(tmp_path, text)[1]
    assert (finding.level, finding.code) == ("warning", "diagnosis-word")
    assert "'gesund' (2)" in finding.text
    assert "healthy control" in finding.fix
    assert "RRMS" in finding.fix


@pytest.mark.parametrize(
    ("text", "encoding", "form"),
    [
        ("participant_id\tdiagnosis\nsub-1\tHC\n", "utf-8-sig", None),
        ("Participant_ID\tDiagnosis\r\n\r\nsub-1\tHC\r\n\r\n", "utf-8", None),
        ("participant_id\tdiagnosis\r\nsub-1\tHC\r\n", "utf-16", "UTF-16 with tabs"),
        ("participant_id\tdiagnosis\r\nsub-1\tHC\r\n", "utf-16-le", "UTF-16 with tabs"),
        ("participant_id\tdiagnosis\r\nsub-1\tHC\r\n", "utf-16-be", "UTF-16 with tabs"),
        ("participant_id;age;diagnosis\n1;3,5;HC\n", "utf-8", "UTF-8 with semicolons"),
        ('"participant_id","diagnosis"\n"sub-1","HC"\n', "utf-8", "UTF-8 with commas"),
        (
            "participant_id\tdiagnosis\tnote\nsub-1\tHC\tZürich\n",
            "latin-1",
            "latin-1 with tabs",
        ),
    ],
)
def test_tables_as_spreadsheets_write_them_are_read(
    tmp_path: Path, text: str, encoding: str, form: str | None
) -> None:
    found, findings = read(tmp_path, text, encoding)
    assert found == {"sub-1": "HC"}
    assert [finding.code for finding in findings] == (["participants-form"] if form else [])
    assert form is None or form in findings[0].text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("id\tdiagnosis\nsub-1\tHC\n", "no column participant_id"),
        ("participant_id\tdiagnosis\tDiagnosis\nsub-1\tHC\tMS\n", "two columns diagnosis"),
        (
            'participant_id\tnote\tdiagnosis\nsub-1\t"left\tHC\nsub-2\t"x\tMS\n',
            "line 2 has a quotation mark that is not closed in it",
        ),
        ("participant_id\tdiagnosis\nsub-1\tMS\nsub-2\t\tHC\n", "line 3 has 3 cells, the header 2"),
    ],
)
def test_a_table_that_cannot_be_used_makes_nobody_a_control(
    tmp_path: Path, text: str, told: str
) -> None:
    found, (finding,) = read(tmp_path, text)
    assert found == {}
    assert told in finding.text


def test_words_for_healthy_in_another_column_are_a_finding(tmp_path: Path) -> None:
    text = "participant_id\tage\tGroup\nsub-1\t30\tMS\nsub-2\t31\tHealthy control\n"
    found, (finding,) = read(tmp_path, text)
    assert found == {"sub-1": None, "sub-2": None}
    assert (finding.level, finding.code) == ("warning", "participants")
    assert "no column diagnosis" in finding.text
    assert "Rename 'Group' to diagnosis" in finding.fix
    assert read(tmp_path, "participant_id\tage\nsub-1\t30\n")[1] == []


def test_a_line_without_a_label_is_named(tmp_path: Path) -> None:
    text = "participant_id\tdiagnosis\nsub-A-01\tHC\n\tMS\nsub-2\n"
    found, (finding,) = read(tmp_path, text)
    assert found == {"sub-2": None}
    assert finding.text == (
        "participants.tsv has 2 lines without a subject that can be used (a label is letters and "
        "digits only): line 2: 'sub-A-01', line 3: ''"
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=80), st.booleans())
def test_no_content_ends_with_an_exception(
    tmp_path: Path, content: bytes, with_header: bool
) -> None:
    path = tmp_path / "participants.tsv"
    path.write_bytes(b"participant_id\tdiagnosis\n" * with_header + content)
    for finding in read_participants(path)[1]:
        str(finding).encode()
