"""First step: a held-out site is opened, its cases prepared as training sites prepare theirs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.arrays import Float32Array
from common.errors import LesionFedError, SiteDataError
from common.imaging.dataset.prepared import PreparedCase
from common.imaging.dataset.prepared_site import prepared_site
from common.imaging.dataset.where_drawn import FoundInCase, where_drawn
from common.imaging.intake.findings import Finding, as_text
from common.imaging.intake.intake import survey
from common.imaging.standardization.template import Template
from common.recipe.recipe import Recipe
from server.evaluation.case_row import CaseRow
from server.evaluation.predict import Segment
from server.evaluation.score import failed_row, score_prepared, score_where_drawn


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
        """One row a planned case, on the prepared grid; one that cannot be scored says why."""

        def scored(case: PreparedCase) -> CaseRow:
            return score_prepared(case, segment_case(case), site=self.name, recipe=recipe)

        return self._rows(scored)

    def score_where_drawn(
        self,
        probability_of: Callable[[PreparedCase], Float32Array],
        *,
        threshold: float,
        recipe: Recipe,
    ) -> list[CaseRow]:
        """The same on the scanner's own grid, for every case whose reference is known there.

        probability_of   each voxel's, (i, j, k) on the case's crop; above the threshold is lesion
        """

        def scored(case: PreparedCase) -> CaseRow:
            judged = where_drawn(FoundInCase(case, probability_of(case)))
            return score_where_drawn(self.name, case, judged, threshold=threshold, recipe=recipe)

        return self._rows(scored)

    def _rows(self, scored: Callable[[PreparedCase], CaseRow]) -> list[CaseRow]:
        rows = []
        for case in self.cases:
            try:
                rows.append(scored(case))
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
