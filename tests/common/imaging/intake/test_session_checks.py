from __future__ import annotations

from pathlib import Path

import pytest

from common.imaging.intake.bids import list_cases
from common.imaging.intake.findings import Finding
from common.imaging.intake.intake import survey
from common.imaging.intake.session_checks import sessions_are_in_order
from common.recipe.task import Task
from tests.volumes import image_path, put, stripped_brain, two_lesions


def site(root: Path, *sessions: str) -> Path:
    for number, session in enumerate(sessions):
        put(stripped_brain(seed=number), image_path(root, "sub-01", "FLAIR", session))
    return root


def table(root: Path, *lines: str) -> None:
    (root / "sub-01" / "sub-01_sessions.tsv").write_text("\n".join(lines) + "\n")


ONE_DATE = Task(modalities=("FLAIR",))
TWO_DATES = Task(modalities=("FLAIR",), target="new-lesions")


def found(root: Path, task: Task = ONE_DATE) -> list[Finding]:
    return list(sessions_are_in_order(root, list_cases(root, task), task))


@pytest.mark.parametrize(
    ("column", "first", "second"),
    [("acq_time", "2019-05-23", "2019-01-23T10:00:00"), ("days_since_ses01", "203", "-7.5")],
)
def test_a_session_before_the_one_it_should_follow_is_reported_without_its_date(
    tmp_path: Path, column: str, first: str, second: str
) -> None:
    root = site(tmp_path, "ses-2", "ses-10")
    table(root, f"session_id\t{column}", f"ses-2\t{first}", f"10\t{second}")
    (finding,) = found(root)
    assert (finding.level, finding.code, finding.session) == ("warning", "session-order", "ses-10")
    assert "ses-10 was acquired before ses-2" in finding.text
    assert first not in finding.text
    assert second not in finding.text


def test_for_new_lesions_an_exchanged_session_is_left_out_of_every_pair(tmp_path: Path) -> None:
    """By its date ses-3 lies before ses-2: the pairs 2-3 and 3-4 go, the pair 1-2 stays."""
    root = site(tmp_path, "ses-1", "ses-2", "ses-3", "ses-4")
    table(root, "session_id\tdays", "ses-1\t0", "ses-2\t200", "ses-3\t100", "ses-4\t300")
    intake = survey(root, task=TWO_DATES)
    assert [case.name for case in intake.usable] == ["sub-01_ses-2"]
    assert intake.quarantined == ("sub-01_ses-3", "sub-01_ses-4")
    blocking = [(f.session, f.code) for f in intake.findings if f.level == "blocking"]
    assert blocking == [("ses-3", "session-order"), ("ses-4", "other-date")]
    assert len(survey(root, task=ONE_DATE).usable) == 4
    raw = survey(root, task=TWO_DATES, raw=True)
    assert raw.quarantined == ("sub-01_ses-3",)


@pytest.mark.parametrize(
    ("sessions", "rows", "told"),
    [
        (("ses-post", "ses-pre"), [], ["ses-post, ses-pre was"]),
        (("ses-post", "ses-pre"), ["post\t90", "pre\t0"], []),  # told otherwise, by its date
        (("ses-post", "ses-pre"), ["pre\t0"], ["ses-post was"]),
        (("ses-m06", "ses-m12"), [], []),
        (("ses-pre",), [], []),
    ],
)
def test_names_that_say_no_order_are_warned_of_for_new_lesions(
    tmp_path: Path, sessions: tuple[str, ...], rows: list[str], told: list[str]
) -> None:
    root = site(tmp_path, *sessions)
    table(root, "session_id\tdays", *rows)
    unknown = [f for f in found(root, TWO_DATES) if f.code == "session-order-unknown"]
    assert [f.level for f in unknown] == ["warning"] * len(told)
    assert all(words in f.text for f, words in zip(unknown, told, strict=True))
    assert all(f.code != "session-order-unknown" for f in found(root, ONE_DATE))


def test_sessions_in_order_are_fine(tmp_path: Path) -> None:
    root = site(tmp_path, "ses-2", "ses-10")
    table(root, "session_id\tdays", "ses-2\t0", "ses-10\t90")
    assert not found(root)


def test_dates_of_scans_count_where_no_table_of_sessions_is(tmp_path: Path) -> None:
    root = site(tmp_path, "ses-01", "ses-02")
    for session, date in (("ses-01", "1911-02-03"), ("ses-02", "1911-02-03")):
        scans = root / "sub-01" / session / f"sub-01_{session}_scans.tsv"
        scans.write_text(f"filename\tacq_time\nx\t{date}\n")
    (finding,) = found(root)
    assert "ses-02 was acquired on the very time of ses-01" in finding.text


def test_sessions_without_date_and_dates_without_images_are_notes(tmp_path: Path) -> None:
    root = site(tmp_path, "ses-01", "ses-02")
    table(root, "session_id\tdays", "ses-01\t0", "ses-07\t90", "ses-02\tn/a")
    assert [(f.level, f.code) for f in found(root)] == [
        ("note", "session-undated"),
        ("note", "session-without-images"),
    ]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\n", b"session_id\n", b"session_id\tdays\n1"])
def test_a_table_that_tells_nothing_is_left_alone(tmp_path: Path, content: bytes) -> None:
    root = site(tmp_path, "ses-01")
    (root / "sub-01" / "sub-01_sessions.tsv").write_bytes(content)
    assert all(finding.level == "note" for finding in found(root))


@pytest.mark.parametrize(("sessions", "told"), [(("ses-01",), True), (("ses-01", "ses-02"), False)])
def test_a_change_mask_wants_two_sessions(
    tmp_path: Path, sessions: tuple[str, ...], told: bool
) -> None:
    root = site(tmp_path, *sessions)
    name = "sub-01_space-common_desc-newlesion_mask.nii.gz"
    put(two_lesions(), root / "derivatives" / "lesions" / "sub-01" / "anat" / name)
    findings = [finding for finding in found(root) if finding.code == "change-without-pair"]
    assert bool(findings) == told
    if told:
        assert f"{name} marks change between two sessions" in findings[0].text
        assert "images of 1 (ses-01)" in findings[0].text
