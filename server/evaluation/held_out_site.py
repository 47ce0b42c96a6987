"""First step: a held-out site is opened, its cases prepared as training sites prepare theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import LesionFedError, SiteDataError
from common.imaging.dataset.prepared import PreparedCase
from common.imaging.dataset.prepared_site import prepared_site
from common.imaging.intake.findings import Finding, as_text
from common.imaging.intake.intake import survey
from common.imaging.standardization.template import Template
from common.recipe.recipe import Recipe
from server.evaluation.case_row import CaseRow
from server.evaluation.predict import Segment
from server.evaluation.score import failed_row, score_prepared


@dataclass(frozen=True, slots=True)
class PreparedHeldOutSite:
    """A held-out site, prepared once with the run's template.

    cases    those that can be scored
    failed   rows of those that cannot: quarantined by intake, or without a reference
    """

    name: str
    cases: tuple[PreparedCase, ...]
    failed: tuple[CaseRow, ...]

    def score(self, segment_case: Segment, *, recipe: Recipe) -> list[CaseRow]:
        """One row a planned case; one that cannot be scored says why."""
        rows = []
        for case in self.cases:
            try:
                rows.append(score_prepared(case, segment_case(case), site=self.name, recipe=recipe))
            except LesionFedError as error:
                rows.append(failed_row(self.name, case, error))
        return [*rows, *self.failed]


def open_held_out_site(
    name: str, data: Path, *, recipe: Recipe, template: Template, store: Path
) -> PreparedHeldOutSite:
    """The site under `data`, prepared as every training site prepares its own.

    SiteDataError as in intake.
    """
    prepared = prepared_site(data, recipe=recipe, template=template, store=store / name)
    scorable = tuple(case for case in prepared.cases if case.lesions is not None)
    failed = [
        CaseRow(
            site=name,
            subject=case.subject,
            session=case.session,
            failed="no lesion mask to score against",
        )
        for case in prepared.cases
        if case.lesions is None
    ]
    failed += [_left_out(name, case, prepared.findings) for case in prepared.quarantined]
    return PreparedHeldOutSite(name, scorable, tuple(failed))


def unusable_site(name: str, data: Path, *, recipe: Recipe) -> list[CaseRow]:
    """A failed row for every case of a site none of whose cases can be scored.

    SiteDataError where there is no case at all: then the folder is the wrong one.
    """
    intake = survey(data, task=recipe.task)
    cases = [*(case.name for case in intake.usable), *intake.quarantined]
    if not cases:
        raise SiteDataError(f"{data}: no case in it. {as_text(intake.findings)}")
    return [_left_out(name, case, intake.findings) for case in sorted(cases)]


def _left_out(site: str, case: str, findings: Sequence[Finding]) -> CaseRow:
    """The row of a quarantined case: the codes of what blocks it, for their texts hold paths."""
    codes = dict.fromkeys(f.code for f in findings if f.case == case and f.level == "blocking")
    subject, _, session = case.partition("_")
    return CaseRow(
        site=site,
        subject=subject,
        session=session or None,
        failed=f"left out: {', '.join(codes) or 'standardization'}",
    )
