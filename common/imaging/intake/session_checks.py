"""Do the sessions of a subject follow one another as their labels say?"""

from __future__ import annotations

import csv
import itertools
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from common.files import require_file
from common.imaging.intake.bids import SiteFiles
from common.imaging.intake.bids_names import natural_order
from common.imaging.intake.findings import Finding, first_of
from common.recipe.task import Task

CHANGE_MASK = re.compile(
    r"desc-(new|change|enlarg|grow|active)[a-z]*[A-Za-z0-9]*_mask", re.IGNORECASE
)


def sessions_are_in_order(root: Path, site: SiteFiles, task: Task) -> Iterator[Finding]:
    """Findings where dates contradict labels, and where a change mask has no pair of sessions.

    For new lesions a contradiction is blocking: exchanged dates make vanished lesions new ones.
    Labels that hold no number and have no date are a warning then.
    Dates come from `sub-01_sessions.tsv` (acq_time, or a column that begins with days) and from
    the sessions' `scans.tsv`; the findings never show them. A site without them gets none of the
    findings that need them.
    """
    sessions: dict[str, list[str]] = defaultdict(list)
    for case in site.cases:
        if case.session is not None:
            sessions[case.subject].append(case.session)
    for subject in sorted({case.subject for case in site.cases}):
        labels = sorted(sessions[subject], key=natural_order)
        yield from _dates_fit(subject, labels, _when(root, subject, labels), task)
        yield from _change_has_a_pair(subject, labels, site.elsewhere.get(subject, ()))


def _dates_fit(
    subject: str, labels: Sequence[str], when: Mapping[str, float], task: Task
) -> Iterator[Finding]:
    dated = [label for label in labels if label in when]
    for earlier, later in itertools.pairwise(dated):
        if when[later] <= when[earlier]:
            same = when[later] == when[earlier]
            relation = "on the very time of" if same else "before"
            yield Finding(
                level="blocking" if task.dates == 2 else "warning",
                code="session-order",
                subject=subject,
                session=later,
                text=f"{later} was acquired {relation} {earlier}, by the table of sessions",
                fix="Exchange the labels, or correct the table: new lesions are those of the later "
                "session.",
            )
    without = [label for label in labels if label not in when]
    unsure = [label for label in without if not any(map(str.isdigit, label))]
    if task.dates == 2 and len(labels) > 1 and unsure:
        yield Finding(
            level="warning",
            code="session-order-unknown",
            subject=subject,
            session=None,
            text=f"neither number nor date says when {first_of(unsure)} was; taken in the order "
            f"{', '.join(labels)}",
            fix="Name sessions ses-01, ses-02 in order of time, or add days to "
            f"{subject}_sessions.tsv.",
        )
    if dated and without:
        yield Finding(
            level="note",
            code="session-undated",
            subject=subject,
            session=None,
            text=f"the table of sessions has no date for {first_of(without)}",
            fix="Add it, as days since the first session if dates must not be stored.",
        )
    unknown = sorted(set(when) - set(labels), key=natural_order)
    if unknown:
        yield Finding(
            level="note",
            code="session-without-images",
            subject=subject,
            session=None,
            text=f"the table of sessions names {first_of(unknown)}, which has no images",
            fix="Nothing to do if that is meant; else add the images.",
        )


def _change_has_a_pair(
    subject: str, labels: Sequence[str], masks: Sequence[Path]
) -> Iterator[Finding]:
    changes = [mask.name for mask in masks if CHANGE_MASK.search(mask.name)]
    if changes and len(labels) < 2:
        yield Finding(
            level="warning",
            code="change-without-pair",
            subject=subject,
            session=None,
            text=f"{first_of(changes)} marks change between two sessions, the subject has images "
            f"of {len(labels)} ({first_of(labels) or 'no session label'})",
            fix="Add the other session's images; without them the mask is not used.",
        )


def _when(root: Path, subject: str, labels: Sequence[str]) -> dict[str, float]:
    """Session -> when it was, in days from some day; without those that were not recorded."""
    table = root / subject / f"{subject}_sessions.tsv"
    when: dict[str, float] = {}
    for row in _rows(table):
        label = (row.get("session_id") or "").strip()
        days = _days(row)
        if label and days is not None:
            when["ses-" + label.removeprefix("ses-")] = days
    for label in labels:
        scans = root / subject / label / f"{subject}_{label}_scans.tsv"
        found = [days for row in _rows(scans) if (days := _days(row)) is not None]
        if found:
            when.setdefault(label, min(found))
    return when


def _days(row: Mapping[str, str | None]) -> float | None:
    for column, cell in row.items():
        text = (cell or "").strip() if isinstance(cell, str) else ""
        try:
            if column == "acq_time":
                return datetime.fromisoformat(text).replace(tzinfo=None).timestamp() / 86400
            if column is not None and column.startswith("days"):
                return float(text)
        except (ValueError, OverflowError, OSError):
            continue
    return None


def _rows(table: Path) -> list[dict[str, str | None]]:
    """The rows of a table, none where there is no table or it cannot be read."""
    try:
        require_file(table)
        with table.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file, delimiter="\t"))
    except (OSError, ValueError, csv.Error):
        return []
