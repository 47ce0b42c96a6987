"""Two dates of a subject as one case: each session with the one before it."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Sequence

from common.imaging.intake.bids import CaseFiles
from common.imaging.intake.findings import Finding
from common.imaging.intake.usable_case import UsableCase
from common.imaging.orientation import upright
from common.imaging.volume import (
    GRID_TOLERANCE_MM,
    Volume,
    VolumeFault,
    corner_distance_mm,
    grid_text,
    read_grid,
    same_grid,
)
from common.recipe.task import Task


def planned_cases(sessions: Sequence[CaseFiles], task: Task) -> list[CaseFiles]:
    """The sessions whose names the cases bear: all, or for two dates the later ones.

    sessions   in order. A subject's only session counts as a case: one that cannot be used
    """
    if task.dates == 1:
        return list(sessions)
    return [later for _, later in _pairs(sessions)]


def joined_sessions(
    sessions: Sequence[CaseFiles], usable: Sequence[UsableCase], task: Task
) -> tuple[list[UsableCase], list[Finding]]:
    """Every session with the one before it, where both are usable and lie on one grid.

    sessions   all of the site, in order; neighbours among them make a case, so that a session that
               is left out takes two cases with it: no reference says what is new since another one
    returns    the cases, and what joining found; every other case of `planned_cases` has a blocking
               finding, one of these or one on a session alone, which was found before
    """
    ready = {case.name: case for case in usable}
    pairs: list[UsableCase] = []
    findings: list[Finding] = []
    for first, second in _pairs(sessions):
        later = ready.get(second.name)
        finding = None
        if first is None:
            finding = _single(second)
        elif later is not None:  # else its own findings say why
            earlier = ready.get(first.name)
            finding = _left_out(first, second) if earlier is None else _off_grid(earlier, later)
            if earlier is not None and finding is None:
                pairs.append(_pair(earlier, later, task))
                continue
        findings.extend([] if finding is None else [finding])
    return pairs, findings


def other_grids(session: CaseFiles, sessions: Sequence[CaseFiles]) -> dict[str, Volume]:
    """ "FLAIR of ses-01" -> the grid of each image of the subject's other session, by its header.

    Empty unless the subject has exactly two; an image whose header cannot be read is left out.
    """
    others = [one for one in sessions if one.subject == session.subject and one != session]
    grids = {}
    for modality, path in others[0].images.items() if len(others) == 1 else ():
        with contextlib.suppress(VolumeFault):  # reported for its own session
            grids[f"{modality} of {others[0].session}"] = upright(read_grid(path))
    return grids


def _pairs(sessions: Sequence[CaseFiles]) -> list[tuple[CaseFiles | None, CaseFiles]]:
    """Earlier and later session of each case; no earlier one where a subject has one session."""
    pairs: list[tuple[CaseFiles | None, CaseFiles]] = []
    for _, group in itertools.groupby(sessions, key=lambda files: files.subject):
        of_subject = list(group)
        if len(of_subject) == 1:
            pairs.append((None, of_subject[0]))
        pairs.extend(itertools.pairwise(of_subject))
    return pairs


def _pair(earlier: UsableCase, later: UsableCase, task: Task) -> UsableCase:
    of_dates = [(date, modality) for date in (earlier, later) for modality in task.modalities]
    channels = zip(task.channels, of_dates, strict=True)
    images = {
        channel: date.images[modality]
        for channel, (date, modality) in channels
        if modality in date.images
    }
    missing = tuple(channel for channel in task.channels if channel not in images)
    return dataclasses.replace(later, images=images, earlier=earlier, missing=missing)


def _single(only: CaseFiles) -> Finding:
    return _blocking(
        only,
        "single-date",
        text="new lesions are seen between two dates, and the subject has images of one",
        fix="Add the other date as a session of its own, such as "
        f"{only.subject}/ses-01, or leave the subject out.",
    )


def _left_out(earlier: CaseFiles, later: CaseFiles) -> Finding:
    return _blocking(
        later,
        "other-date",
        text=f"the session before it, {earlier.session}, is left out",
        fix=f"Mend what was found for {earlier.name}.",
    )


def _off_grid(earlier: UsableCase, later: UsableCase) -> Finding | None:
    """Blocking where the dates lie on two grids: a new lesion would be a shifted old one."""
    first, second = (
        upright(read_grid(next(iter(date.images.values())))) for date in (earlier, later)
    )
    if same_grid(first, second):
        return None
    return _blocking(
        later,
        "date-grid",
        text=f"want both dates on one grid (corners within {GRID_TOLERANCE_MM:g} mm), found "
        f"corners up to {corner_distance_mm(first, second):.4g} mm apart; "
        f"{earlier.session}: {grid_text(first)}; {later.session}: {grid_text(second)}",
        fix="Run lesionfed-site prepare with a recipe for new lesions, or with --set "
        "'preprocessing.space=\"halfway\"'.",
    )


def _blocking(case: CaseFiles | UsableCase, code: str, *, text: str, fix: str) -> Finding:
    return Finding(
        level="blocking",
        code=code,
        subject=case.subject,
        session=case.session,
        text=text,
        fix=fix,
    )
