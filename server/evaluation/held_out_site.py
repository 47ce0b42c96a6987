"""Central evaluation: a network, or a single threshold, judged on sites that never took part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from common.arrays import BoolArray
from common.errors import LesionFedError, SiteDataError
from common.imaging.dataset.prepared import PreparedCase, baseline_intensity
from common.imaging.dataset.prepared_site import prepared_site
from common.imaging.intake.findings import Finding, as_text
from common.imaging.intake.intake import survey
from common.imaging.standardization.template import Template
from common.learning.segmentation import found_lesions, segment
from common.metrics.case import score_case
from common.metrics.presets import preset
from common.metrics.small_lesions import without_small_lesions
from common.recipe.recipe import Recipe
from server.evaluation.case_row import CaseRow

Segment = Callable[[PreparedCase], BoolArray]
"""A prepared case in, its lesion mask on the crop out."""


@dataclass(frozen=True, slots=True)
class HeldOutSite:
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
) -> HeldOutSite:
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
    for left_out in prepared.quarantined:
        subject, _, session = left_out.partition("_")
        failed.append(
            CaseRow(
                site=name,
                subject=subject,
                session=session or None,
                failed=f"left out: {reason_of(left_out, prepared.findings)}",
            )
        )
    return HeldOutSite(name, scorable, tuple(failed))


def unusable_site(name: str, data: Path, *, recipe: Recipe) -> list[CaseRow]:
    """A failed row for every case of a site none of whose cases can be scored.

    SiteDataError where there is no case at all: then the folder is the wrong one.
    """
    intake = survey(data, task=recipe.task)
    cases = [*(case.name for case in intake.usable), *intake.quarantined]
    if not cases:
        raise SiteDataError(f"{data}: no case in it. {as_text(intake.findings)}")
    rows = []
    for case in sorted(cases):
        subject, _, session = case.partition("_")
        reason = f"left out: {reason_of(case, intake.findings)}"
        rows.append(CaseRow(site=name, subject=subject, session=session or None, failed=reason))
    return rows


def reason_of(case: str, findings: Sequence[Finding]) -> str:
    """The codes of what keeps a case from being used: their texts hold paths, tables travel."""
    codes = {f.code: None for f in findings if f.case == case and f.level == "blocking"}
    return ", ".join(codes) or "standardization"


def score_prepared(case: PreparedCase, mask: BoolArray, *, site: str, recipe: Recipe) -> CaseRow:
    """The case's row: its mask against its reference, both on the file's whole grid."""
    assert case.lesions is not None, "only cases with a reference are scored"
    reference, prediction = case.on_file_grid(case.lesions), case.on_file_grid(mask)
    score = score_case(
        reference.data,
        prediction.data,
        spacing_mm=reference.spacing_mm,
        definition=preset(recipe.evaluation.preset),
    )
    return CaseRow(site=site, subject=case.subject, session=case.session, metrics=score.metrics())


def failed_row(site: str, case: PreparedCase, error: LesionFedError) -> CaseRow:
    """The row of a case that could not be scored; it counts among the planned ones."""
    return CaseRow(site=site, subject=case.subject, session=case.session, failed=error.code)


def by_network(network: nn.Module, recipe: Recipe, threshold: float) -> Segment:
    """Segments with a network: lesion where its probability is above the threshold."""
    return lambda case: found_lesions(segment(network, case, recipe), threshold, recipe)


def by_intensity(threshold: float, recipe: Recipe) -> Segment:
    """Segments with one threshold on `baseline_intensity`: the baseline.

    Lesions too small to be believed go, as they do from the network's mask; the threshold itself
    was tuned with them (chosen: every threshold of every case would have to be labelled).
    """

    def segment_case(case: PreparedCase) -> BoolArray:
        found = (baseline_intensity(case, recipe.task) > threshold) & case.brain
        return without_small_lesions(found, recipe.inference.min_lesion_voxels)

    return segment_case


def mean_dice(rows: Sequence[CaseRow]) -> float | None:
    """Mean Dice over the rows that have one; None where none has."""
    scores = [row.metric("dice") for row in rows if row.metric("dice") is not None]
    return float(np.mean(np.array(scores, float))) if scores else None
