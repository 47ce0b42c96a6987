"""Who the subjects of a site are: participants.tsv, which a site may lack."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from common.files import limited_bytes
from common.imaging.bids_name import LETTERS_AND_DIGITS, is_label
from common.imaging.intake.findings import Finding, first_of, on_folder

HEALTHY = (
    "healthy",
    "healthy control",
    "healthy controls",
    "healthy volunteer",
    "healthy subject",
    "control",
    "controls",
    "HC",
    "HV",
    "NC",
    "normal control",
    "normal",
)
"""What a diagnosis says of a subject without disease, in small or capital letters."""

DISEASED = (
    "MS",
    "multiple sclerosis",
    "RRMS",
    "SPMS",
    "PPMS",
    "PRMS",
    "MS-RR",
    "MS-SP",
    "MS-PP",
    "CIS",
    "RIS",
    "NMO",
    "NMOSD",
    "MOGAD",
    "patient",
    "patients",
)
"""What it says of a patient."""

MOST_BYTES = 16 << 20
"""A table of a hundred thousand subjects has less."""
_NOTHING = frozenset({"", "n/a", "na", "nan", "none", "null", "-", "?", "unknown"})
_WANTED = "Save it as tab-separated UTF-8 with the columns participant_id and diagnosis."


def is_control(diagnosis: str | None) -> bool:
    """Whether a diagnosis says that the subject is healthy."""
    return diagnosis is not None and _plain(diagnosis) in {_plain(word) for word in HEALTHY}


def read_participants(path: Path) -> tuple[dict[str, str | None], list[Finding]]:
    """Subject -> diagnosis, None where there is none to believe, and what is wrong with the table.

    path   participants.tsv; without it no subject has a diagnosis

    Tabs, or commas or semicolons, as the first line has them; UTF-8, or UTF-16 as spreadsheets
    write it, or else latin-1. Of two lines that contradict each other neither is believed.
    """
    if not path.exists():
        return {}, []
    try:
        text, encoding = decoded(limited_bytes(path, MOST_BYTES))
        rows, separator, column = _rows(text)
    except (OSError, ValueError, csv.Error) as error:
        why = error.strerror if isinstance(error, OSError) else error
        return {}, [
            on_folder(
                "warning",
                "participants",
                text=f"participants.tsv cannot be read, so no subject counts as a control: {why}",
                fix=_WANTED,
            )
        ]
    findings = [*_form(encoding, separator), *_elsewhere(column)]
    said: dict[str, list[str]] = defaultdict(list)
    odd: list[str] = []
    for line, name, diagnosis in rows:
        label = name[4:] if name[:4].lower() == "sub-" else name
        if is_label(label):
            said[f"sub-{label}"].append(diagnosis)
        else:
            odd.append(f"line {line}: {name!r}")
    if odd:
        findings.append(
            on_folder(
                "warning",
                "participants",
                text=f"participants.tsv has {len(odd)} lines without a subject that can be used "
                f"({LETTERS_AND_DIGITS}): {first_of(odd)}",
                fix="Correct the column participant_id: sub-01, or 01.",
            )
        )
    diagnoses, more = _believed(said)
    return diagnoses, [*findings, *more, *_unknown_words(diagnoses)]


def without_images(subjects: Sequence[str]) -> Iterator[Finding]:
    """A note when subjects of the table have no images; it names them."""
    if subjects:
        yield on_folder(
            "note",
            "participant-without-images",
            text=f"{len(subjects)} subjects of participants.tsv have no images: "
            + first_of(subjects),
            fix="Nothing to do if that is meant; else add their sub-* folders.",
        )


def decoded(content: bytes) -> tuple[str, str]:
    """The text of a table, and the encoding it is in."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16"), "UTF-16"
    for encoding, zeros in (("utf-16-le", content[1:40:2]), ("utf-16-be", content[:40:2])):
        if len(zeros) > 4 and not any(zeros):
            return content.decode(encoding), "UTF-16"
    try:
        return content.decode("utf-8-sig"), "UTF-8"
    except UnicodeDecodeError:
        return content.decode("latin-1"), "latin-1"


def _rows(text: str) -> tuple[list[tuple[int, str, str]], str, str | None]:
    """Line number, subject and diagnosis of each line that is not empty, and what separates them.

    Last, without a column diagnosis, the column that has words for healthy, as it is written.
    ValueError without a column participant_id, with two columns of one name, with a quotation mark
    that swallows the lines below, or with more cells in a line than there are columns.
    """
    header = text.lstrip("\r\n").partition("\n")[0]
    separator = max("\t;,", key=lambda sign: (header.count(sign), sign == "\t"))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    columns: list[str] = []
    as_written: list[str] = []
    elsewhere: str | None = None
    rows: list[tuple[int, str, str]] = []
    begins = 1
    for cells in reader:
        line, begins = begins, reader.line_num + 1
        if any("\n" in cell or "\r" in cell for cell in cells):
            raise ValueError(f"line {line} has a quotation mark that is not closed in it")
        cells = [cell.strip() for cell in cells]
        if not any(cells):
            continue
        if not columns:
            as_written = cells
            columns = ["_".join(cell.lower().replace("-", " ").split()) for cell in cells]
            for name in ("participant_id", "diagnosis"):
                if columns.count(name) > 1:
                    raise ValueError(f"two columns {name}")
            if "participant_id" not in columns:
                raise ValueError("no column participant_id")
            continue
        if any(cells[len(columns) :]):
            raise ValueError(f"line {line} has {len(cells)} cells, the header {len(columns)}")
        fields = dict(zip(columns, cells, strict=False))
        rows.append((line, fields["participant_id"], fields.get("diagnosis", "")))
        if "diagnosis" not in columns and elsewhere is None:
            words = zip(as_written, cells, strict=False)
            elsewhere = next((name for name, word in words if is_control(word)), None)
    return rows, separator, elsewhere


def _elsewhere(column: str | None) -> Iterator[Finding]:
    """A warning on words for healthy that stand in another column than the one that is read."""
    if column is not None:
        yield on_folder(
            "warning",
            "participants",
            text="participants.tsv has no column diagnosis, so no subject counts as a control; "
            f"there are words for healthy in the column {column!r}",
            fix=f"Rename {column!r} to diagnosis if it says who is healthy.",
        )


def _form(encoding: str, separator: str) -> Iterator[Finding]:
    """A note on a table that is read though it is not as BIDS wants it."""
    signs = {"\t": "tabs", ";": "semicolons", ",": "commas"}
    if encoding != "UTF-8" or separator != "\t":
        yield on_folder(
            "note",
            "participants-form",
            text=f"participants.tsv is read as {encoding} with {signs[separator]} between the "
            "columns",
            fix=f"{_WANTED} Other programs may not read it.",
        )


def _believed(
    said: Mapping[str, Sequence[str]],
) -> tuple[dict[str, str | None], list[Finding]]:
    """The one diagnosis of each subject, and a warning on those who have two."""
    diagnoses: dict[str, str | None] = {}
    twice: list[str] = []
    for subject, texts in said.items():
        words: dict[str, str] = {}
        for text in texts:
            if text.lower() not in _NOTHING:
                words.setdefault(_meaning(text), text)
        diagnoses[subject] = next(iter(words.values())) if len(words) == 1 else None
        if len(words) > 1:
            twice.append(f"{subject} ({', '.join(words.values())})")
    if not twice:
        return diagnoses, []
    return diagnoses, [
        on_folder(
            "warning",
            "participants-twice",
            text=f"participants.tsv says two things of {first_of(twice)}; neither is believed",
            fix="Keep the right line of each subject.",
        )
    ]


def _unknown_words(diagnoses: Mapping[str, str | None]) -> Iterator[Finding]:
    """A warning on the words that say neither healthy nor ill as far as anybody here knows."""
    known = {_plain(word) for word in (*HEALTHY, *DISEASED)}
    unknown: dict[str, int] = defaultdict(int)
    for text in diagnoses.values():
        if text is not None and _plain(text) not in known:
            unknown[text] += 1
    if unknown:
        listed = first_of([f"{text!r} ({n})" for text, n in unknown.items()])
        yield on_folder(
            "warning",
            "diagnosis-word",
            text=f"participants.tsv has diagnoses that are not known, so no controls: {listed}",
            fix=f"For a healthy subject write one of: {', '.join(HEALTHY)}. For a patient: "
            f"{', '.join(DISEASED)}.",
        )


def _plain(text: str) -> str:
    """Words in small letters with one space between, whatever stood there."""
    return " ".join(text.lower().replace("_", " ").replace("-", " ").split())


def _meaning(text: str) -> str:
    """What a diagnosis says; all words for healthy are one."""
    return HEALTHY[0] if is_control(text) else _plain(text)
