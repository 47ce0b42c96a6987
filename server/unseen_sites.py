"""Central evaluation: a network, or a single threshold, judged on sites that never took part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import nn

from common.imaging.findings import case_name
from common.imaging.prepared import PreparedCase
from common.imaging.prepared_site import prepared_site
from common.imaging.preprocessing.template import Template
from common.learning.segmentation import segment
from common.metrics.case import score_case
from common.metrics.presets import preset
from common.recipe import Recipe

BoolArray = npt.NDArray[np.bool_]
Segment = Callable[[PreparedCase], BoolArray]
"""A prepared case in, its lesion mask on the crop out."""


@dataclass(frozen=True, slots=True)
class CaseRow:
    """One planned case of a held-out site, scored or failed.

    failed    why the case has no score, or None; it counts among the planned ones all the same
    metrics   name -> value, None where undefined; empty where failed
    """

    subject: str
    session: str | None
    failed: str | None
    metrics: dict[str, float | int | None]

    @property
    def name(self) -> str:
        """Subject and session as in file names."""
        return case_name(self.subject, self.session)

    def as_dict(self) -> dict[str, object]:
        """One flat row."""
        place = {"subject": self.subject, "session": self.session, "failed": self.failed}
        return {**place, **self.metrics}


@dataclass(frozen=True, slots=True)
class UnseenSite:
    """A held-out site, prepared once with the run's template.

    cases    those that can be scored
    failed   rows of those that cannot: quarantined by intake, or without a reference
    """

    name: str
    cases: tuple[PreparedCase, ...]
    failed: tuple[CaseRow, ...]

    def score(
        self,
        segment_case: Segment,
        *,
        recipe: Recipe,
        on_scored: Callable[[PreparedCase, BoolArray, CaseRow], None] | None = None,
    ) -> list[CaseRow]:
        """One row a planned case.

        on_scored   called with each case, its mask on the crop and its row, such as to draw it
        """
        rows = []
        for case in self.cases:
            mask = segment_case(case)
            row = score_prepared(case, mask, recipe)
            if on_scored is not None:
                on_scored(case, mask, row)
            rows.append(row)
        return [*rows, *self.failed]


def open_unseen_site(
    name: str, data: Path, *, recipe: Recipe, template: Template, store: Path
) -> UnseenSite:
    """The site under `data`, prepared as every training site prepares its own.

    SiteDataError as in intake.
    """
    prepared = prepared_site(data, recipe=recipe, template=template, store=store / name)
    scorable = tuple(case for case in prepared.cases if case.lesions is not None)
    failed = [
        CaseRow(case.subject, case.session, "no lesion mask to score against", {})
        for case in prepared.cases
        if case.lesions is None
    ]
    for left_out in prepared.quarantined:
        subject, _, session = left_out.partition("_")
        failed.append(CaseRow(subject, session or None, "quarantined by intake", {}))
    return UnseenSite(name, scorable, tuple(failed))


def score_prepared(case: PreparedCase, mask: BoolArray, recipe: Recipe) -> CaseRow:
    """The case's row: its mask against its reference, both on the file's whole grid."""
    assert case.lesions is not None, "only cases with a reference are scored"
    reference, prediction = case.on_file_grid(case.lesions), case.on_file_grid(mask)
    score = score_case(
        reference.data,
        prediction.data,
        spacing_mm=reference.spacing_mm,
        definition=preset(recipe.evaluation.preset),
    )
    return CaseRow(case.subject, case.session, None, score.metrics())


def by_network(network: nn.Module, recipe: Recipe, threshold: float) -> Segment:
    """Segments with a network: lesion where its probability is above the threshold."""
    return lambda case: segment(network, case, recipe) > threshold


def by_intensity(threshold: float) -> Segment:
    """Segments with one threshold on the standardized first modality: the baseline."""
    return lambda case: (case.image[0] > threshold) & case.brain


def mean_dice(rows: Sequence[CaseRow]) -> float | None:
    """Mean Dice over the rows that have one; None where none has."""
    scores = [row.metrics["dice"] for row in rows if row.metrics.get("dice") is not None]
    return float(np.mean(np.array(scores, float))) if scores else None
