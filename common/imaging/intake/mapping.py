"""Which file is which in a folder that is not BIDS: a table, written by the site."""

from __future__ import annotations

import csv
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from common.errors import SiteDataError, printable
from common.imaging.bids_name import LETTERS_AND_DIGITS, is_label
from common.imaging.intake.bids import (
    REFERENCE,
    WITHOUT_REFERENCE,
    CaseFiles,
    SiteFiles,
    rater_labels,
    reference_text,
)
from common.imaging.intake.bids_names import natural_order
from common.imaging.intake.findings import Finding, case_name, on_folder
from common.imaging.intake.missing_modality import missing_modality
from common.imaging.intake.participants import read_participants
from common.imaging.unread_files import other_format, why_unread
from common.recipe.task import Task

COLUMNS = ("subject", "session", "modality", "path")
MASKS = ("lesion_mask", "newlesion_mask", "brain_mask", "cord_mask")
RATER_MASK = re.compile(r"(new)?lesionRater[1-9][0-9]*_mask")


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of the table: what it is of, and where it lies."""

    subject: str
    session: str | None
    modality: str
    path: Path

    @property
    def case(self) -> tuple[str, str | None]:
        return self.subject, self.session


def mapped_cases(table: Path, *, root: Path, task: Task) -> SiteFiles:
    """The cases that `table` names, as `bids.list_cases` gives those of a BIDS folder.

    table   tab-separated UTF-8 with the columns subject, session, modality and path; a modality
            is a BIDS suffix such as FLAIR, or lesion_mask, newlesion_mask, lesionRater1_mask and
            so on, brain_mask, cord_mask, or centreline: a .tsv, see
            `common/imaging/centreline.py`
    root    the folder that holds all the files; a path counts from here
    task    the images that a case must or may have, and what the reference shows; others in the
            table are left alone
    A path must lie below `root` by name; a link is followed wherever it points, as in a BIDS
    folder. Labels may be written with or without `sub-` and `ses-`; a session is empty or `n/a`
    where a site has none. A line that cannot be used is a blocking finding on its case, with its
    number.
    SiteDataError when the table cannot be read at all or lacks a column.
    """
    if not root.is_dir():
        raise SiteDataError(f"{root}: no such folder. Give the folder that holds the images.")
    findings: list[Finding] = []
    by_case: dict[tuple[str, str | None], dict[str, Path]] = defaultdict(dict)
    lines: dict[tuple[str, str | None, str], int] = {}
    owners: dict[Path, int] = {}
    for line, fields in _lines(table):
        row = _row(fields, line=line, table=table, root=root)
        if isinstance(row, Finding):
            findings.append(row)
            if row.subject is not None:
                by_case[row.subject, row.session]  # the case exists, and is left out
            continue
        files, place = by_case[row.case], (*row.case, row.modality)
        wrong = None
        if place in lines:
            wrong = f"a second {row.modality} for this case, the first is in line {lines[place]}"
        elif row.path in owners:
            wrong = f"the file of line {owners[row.path]} again"
        if wrong is not None:
            findings.append(_on_line(table, line, wrong, case=row.case))
            continue
        lines[place], owners[row.path] = line, line
        files[row.modality] = row.path
    diagnoses, more = read_participants(root / "participants.tsv")
    findings.extend(more)
    reference = f"{REFERENCE[task.target]}_mask"
    cases: list[CaseFiles] = []
    for subject, session in sorted(by_case, key=lambda key: (key[0], natural_order(key[1]))):
        is_first = not cases or cases[-1].subject != subject
        files = by_case[subject, session]
        cases.append(
            CaseFiles(
                subject=subject,
                session=session,
                images={name: files[name] for name in task.modalities if name in files},
                lesion_mask=files.get(reference),
                brain_mask=files.get("brain_mask"),
                diagnosis=diagnoses.get(subject),
                cord_mask=files.get("cord_mask"),
                centreline=files.get("centreline"),
                rater_masks={
                    rater: files[f"{rater}_mask"]
                    for rater in rater_labels(task)
                    if f"{rater}_mask" in files
                },
            )
        )
        findings.extend(
            finding
            for finding in _missing(table, (subject, session), files, task)
            # nothing is new at the first date
            if not (is_first and task.dates == 2 and finding.code in WITHOUT_REFERENCE)
        )
    return SiteFiles(tuple(cases), tuple(findings))


def _lines(table: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number -> column -> text without spaces around it; empty lines are left out."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter="\t")
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise SiteDataError(
                    f"{table}: want the columns {', '.join(COLUMNS)} with tabs between, found no "
                    f"{', '.join(missing)}. Save it as tab-separated text with that first line."
                )
            for fields in reader:
                texts = {name: (fields.get(name) or "").strip() for name in COLUMNS}
                if any(texts.values()):
                    yield reader.line_num, texts
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SiteDataError(
            f"{table}: cannot be read: {error}. Save it as tab-separated UTF-8 text."
        ) from None


def _row(fields: Mapping[str, str], *, line: int, table: Path, root: Path) -> _Row | Finding:
    """The line as a row, or what is wrong with it."""
    subject = fields["subject"].removeprefix("sub-")
    session = fields["session"].removeprefix("ses-")
    if not is_label(subject):
        wrong = f"want a subject of letters and digits, found {fields['subject']!r}"
        return _on_line(table, line, f"{wrong} ({LETTERS_AND_DIGITS})", case=None)
    label = None if session in ("", "n/a") else f"ses-{session}"
    case = (f"sub-{subject}", label)
    if label is not None and not is_label(session):
        wrong = f"want a session of letters and digits, or none, found {fields['session']!r}"
        case = (case[0], printable(label))
        return _on_line(table, line, f"{wrong} ({LETTERS_AND_DIGITS})", case=case)
    modality = fields["modality"]
    if not (is_label(modality) or modality in MASKS or RATER_MASK.fullmatch(modality)):
        wrong = f"want a modality such as FLAIR, or {', '.join(MASKS)}, found {modality!r}"
        return _on_line(table, line, wrong, case=case)
    # absolute on both sides: "../x" lies below "." by name
    base = os.path.abspath(root)
    path = Path(os.path.abspath(root / fields["path"]))
    if not fields["path"] or not path.is_relative_to(base):
        wrong = f"want a file below {root}, found {fields['path']!r}"
        return _on_line(table, line, wrong, case=case)
    is_table = modality == "centreline"
    if is_table and not path.name.endswith(".tsv"):
        wrong = f"want a table (.tsv), found {fields['path']!r}"
        return _on_line(table, line, wrong, case=case)
    if not is_table and (unread := other_format(path.name)) is not None:
        wrong = f"want a NIfTI file (.nii or .nii.gz), found {fields['path']!r}. {unread.fix}"
        return _on_line(table, line, wrong, case=case)
    try:
        exists = path.is_file()
    except (OSError, ValueError) as error:  # a name too long, a closed folder, a NUL
        reason = error.strerror if isinstance(error, OSError) else str(error)
        wrong = f"cannot look for {fields['path']!r}: {reason}"
        return _on_line(table, line, wrong, case=case)
    if not exists:
        return _on_line(table, line, f"no such file: {fields['path']}", case=case)
    if not is_table and (unread := why_unread(path)) is not None:
        return _on_line(table, line, f"{fields['path']}: {unread.what}. {unread.fix}", case=case)
    return _Row(case[0], label, modality, root / path.relative_to(base))


def _missing(
    table: Path,
    case: tuple[str, str | None],
    files: Mapping[str, Path],
    task: Task,
) -> Iterator[Finding]:
    """As `missing_modality` for each that no line names; a note where nothing is the reference."""
    subject, session = case
    for modality in task.modalities:
        if modality not in files:
            yield missing_modality(
                modality,
                task,
                subject=subject,
                session=session,
                text=f"no {modality} image; {table.name} names {', '.join(files) or 'none'}",
                add=f"Add its line to {table.name}",
            )
    reference = f"{REFERENCE[task.target]}_mask"
    if reference not in files:
        yield Finding(
            level="note",
            code="no-lesion-mask",
            subject=subject,
            session=session,
            text=f"no {reference_text(task)}: the case can join the statistics, not the training",
            fix=f"To train on {case_name(subject, session)}, add the line of its {reference}.",
        )


def _on_line(table: Path, line: int, wrong: str, *, case: tuple[str, str | None] | None) -> Finding:
    text, fix = f"{table.name} line {line}: {wrong}", f"Mend that line of {table.name}."
    if case is None:
        return on_folder("blocking", "mapping", text=text, fix=fix)
    return Finding(
        level="blocking", code="mapping", subject=case[0], session=case[1], text=text, fix=fix
    )
