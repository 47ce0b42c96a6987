"""What in a site's files may identify a person: file and key are named, never the value.

Names, dates and institutions in NIfTI headers, JSON files and tables. A heuristic on keys and on
the form of values: it finds what converters and exports leave behind, not what somebody hides in
free text.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from common.files import limited_bytes
from common.imaging.bids_name import MOST_SIDECAR_BYTES, folder_labels, raw_label
from common.imaging.intake.bids_names import files_below
from common.imaging.intake.findings import Finding, first_of
from common.imaging.intake.nifti_header import read_header
from common.imaging.intake.participants import decoded
from common.imaging.volume import NIFTI_SUFFIXES, VolumeFault

Severity = Literal["warning", "note"]
Trace = tuple[Severity, str]
"""How serious it is, and the key that holds it, with what it looks like."""

FIRST_REAL_YEAR = 1925
"""Earlier years are shifted dates, as BIDS asks for."""

_NAMES = re.compile(
    r"patient|physician|operator|institution|hospital|insurance|birth|accession|serialnumber"
    r"|stationname|address|telephone|instanceuid|^mrn$|^dob$",
    re.IGNORECASE,
)
"""Keys that say who, where or on which day; DICOM's words and their like."""

_PERSONAL = frozenset({"patientage", "patientsex", "patientweight", "patientsize"})
_HARMLESS = frozenset({"patientposition", "patientorientation"})
_GEOMETRY = re.compile(r"(position|orientation)patient$", re.IGNORECASE)
_NOBODY = frozenset(
    {"", "n/a", "na", "none", "null", "anonymous", "anonymized", "anonymised", "anon", "removed"}
    | {"deidentified", "de-identified", "unknown", "redacted", "0"}
)

_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_DATES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?<!\d)(?P<year>(?:19|20)\d\d)(?P<gap>[-/.]?)(?:0[1-9]|1[0-2])(?P=gap)(?:[0-2]\d|3[01])(?!\d)",
        r"(?<!\d)\d\d?[-/.]\d\d?[-/.](?P<year>(?:19|20)\d\d)(?!\d)",
        rf"\b(?:{_MONTHS})[a-z]* +\d\d?,? +(?P<year>(?:19|20)\d\d)\b",
        rf"\b\d\d?[ -](?:{_MONTHS})[a-z]*[ -](?P<year>(?:19|20)\d\d)\b",
    )
)
_PERSON = re.compile(r"[^\W\d_]{2,}\^[^\W\d_]{2,}")
"""DICOM's way to write a name: FAMILY^GIVEN."""

_INSTITUTION = re.compile(
    r"hospi[tc]|h[oô]pital|clini[ck]|klinik|universit|krankenhaus|ospedale|medical cent",
    re.IGNORECASE,
)
_TIME = re.compile(r"\btime=\d{4,}", re.IGNORECASE)
_TOOLS = re.compile(
    r"^\W*(spm|fsl|freesurfer|mri_|te=|ants|itk|nibabel|mricro|dcm2ni|afni|matlab|\d+\.\d+\.\d+)",
    re.IGNORECASE,
)
"""How the descriptions begin that converters and tools write."""

_COLUMNS = re.compile(
    r"birth|^dob$|^mrn$|address|phone|e-?mail|zip|post_?code|physician|insurance|hospital"
    r"|(^|_)(first|last|sur|full|given|family|patient)?_?name$|initials",
    re.IGNORECASE,
)
_EXTENSIONS = {2: "DICOM", 4: "AFNI", 6: "comment", 10: "PyPickle", 18: "MATLAB", 30: "Siemens"}
_MOST_TABLE_BYTES = 16 << 20


def what_names_somebody(root: Path) -> Iterator[Finding]:
    """For each case, one warning on what identifies the person, one note on what may help to.

    Every NIfTI header, JSON file and table below `root` is looked at, `derivatives` too;
    `sourcedata` and hidden folders are not.
    """
    paths, _ = files_below(root)  # what cannot be looked into is a finding of the names' check
    traces: dict[tuple[str | None, str | None, Severity], list[str]] = defaultdict(list)
    for path in paths:
        found: dict[Severity, list[str]] = defaultdict(list)
        for severity, key in traces_in(path):
            if key not in found[severity]:
                found[severity].append(key)
        subject, session = _case_of(path.relative_to(root))
        for severity, keys in found.items():
            traces[subject, session, severity].append(f"{path.name}: {first_of(keys)}")
    for (subject, session, severity), files in traces.items():
        identifies = severity == "warning"
        yield Finding(
            level=severity,
            code="identity" if identifies else "free-text",
            subject=subject,
            session=session,
            text=("identifies the person: " if identifies else "may help to identify the person: ")
            + "; ".join(files[:3])
            + (f"; and {len(files) - 3} more files" if len(files) > 3 else ""),
            fix="Remove these fields (dcm2niix -ba y writes none of them), whether or not the "
            "files leave the site."
            if identifies
            else "Check whether it names somebody; remove it where it is not needed.",
        )


def traces_in(path: Path) -> Iterator[Trace]:
    """What in one file may identify a person; nothing where the file cannot be read."""
    if path.name.endswith(NIFTI_SUFFIXES):
        yield from _in_header(path)
    elif path.suffix == ".json":
        try:
            yield from _in_json(json.loads(limited_bytes(path, MOST_SIDECAR_BYTES)), "")
        except (OSError, ValueError, RecursionError):
            yield "note", "the whole file (no JSON that can be read)"
    elif path.suffix == ".tsv":
        yield from _in_table(path)


def _in_header(path: Path) -> Iterator[Trace]:
    try:
        header = read_header(path)
    except VolumeFault:
        return  # an image that cannot be read is a finding of its own
    for field, text in header.texts.items():
        looks = _kind_of(text)
        if looks:
            yield "warning", f"{field} (something like {looks})"
        elif _TIME.search(text):
            yield "note", f"{field} (a time of day)"
        elif field != "intent_name" and not _TOOLS.match(text):
            yield "note", f"{field} (free text)"
    for code, content in header.extensions:
        name = f"header extension {code} ({_EXTENSIONS.get(code, 'other')})"
        looks = _kind_of(content.decode("latin-1"))
        if code == 2 or looks:
            yield "warning", name + (f", something like {looks}" if looks else "")
        else:
            yield "note", name


def _in_json(value: object, key: str) -> Iterator[Trace]:
    """Every leaf of a JSON value whose key or form identifies something; lists share their key."""
    if isinstance(value, Mapping):
        for inner, content in value.items():
            yield from _in_json(content, str(inner))
    elif isinstance(value, list):
        for content in value:
            yield from _in_json(content, key)
    elif value is not None and not isinstance(value, bool):
        yield from _in_leaf(key, str(value))


def _in_leaf(key: str, text: str) -> Iterator[Trace]:
    plain = key.lower().replace("_", "").replace(" ", "")
    if text.strip(" xX-*").lower() in _NOBODY:
        return
    if plain in _PERSONAL:
        yield "note", key
    elif plain in _HARMLESS or _GEOMETRY.search(plain):
        return
    elif _NAMES.search(plain):
        yield "warning", key
    elif looks := _kind_of(text):
        if looks != "an institution":  # those who made a dataset may be named
            yield "warning", f"{key} (something like {looks})"
    elif plain.endswith("time") and re.fullmatch(r"\d\d:?\d\d:?\d\d(\.\d+)?", text):
        yield "note", f"{key} (a time of day)"


def _in_table(path: Path) -> Iterator[Trace]:
    try:
        text, encoding = decoded(limited_bytes(path, _MOST_TABLE_BYTES))
        if encoding == "latin-1":  # any bytes are: what they say is not sure
            raise ValueError("neither UTF-8 nor UTF-16")
        for row in csv.DictReader(io.StringIO(text, newline=""), delimiter="\t"):
            yield from _in_row(row)
    except (OSError, ValueError, csv.Error):
        yield "note", "the whole table (cannot be read)"


def _in_row(row: Mapping[Any, Any]) -> Iterator[Trace]:
    for column, cell in row.items():
        text = cell.strip() if isinstance(cell, str) else ""
        if text.lower() in _NOBODY or column is None:
            continue
        if _COLUMNS.search(column) and column != "filename":
            yield "warning", f"column {column}"
        elif (looks := _kind_of(text)) in ("a date", "a name"):
            yield "warning", f"column {column} (something like {looks})"
        elif column.lower() == "age" and text.split(".")[0].isdigit() and float(text) > 89:
            yield "note", f"column {column} (above 89 years)"


def _kind_of(text: str) -> str:
    """What a text looks like: "a date", "a name", "an institution", or nothing."""
    for pattern in _DATES:
        if any(int(match["year"]) >= FIRST_REAL_YEAR for match in pattern.finditer(text)):
            return "a date"
    if _PERSON.search(text):
        return "a name"
    return "an institution" if _INSTITUTION.search(text) else ""


def _case_of(path: Path) -> tuple[str | None, str | None]:
    """The subject and session that a path names, in the file's own name or else in its folders."""
    above = dict(folder_labels(path.parts[:-1]))
    subject, session = (raw_label(e, path.name) or above.get(e) for e in ("sub", "ses"))
    if subject is None:
        return None, None
    return f"sub-{subject}", None if session is None else f"ses-{session}"
