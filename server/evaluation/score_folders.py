"""Many pairs of masks scored side by side; one that cannot be scored stops no other."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import GeometryError, printable
from common.imaging.grid import nearest_onto
from common.imaging.orientation import upright
from common.imaging.volume import (
    Volume,
    grid_text,
    noted,
    read_volume,
    require_same_grid,
    same_grid,
)
from common.metrics.case import CaseScore, score_case
from common.metrics.lesion_table import LesionRow, lesion_rows
from common.metrics.mask import lesion_mask
from common.metrics.presets import LesionDefinition
from server.evaluation.case_row import CaseRow
from server.evaluation.mask_pairs import NO_PREDICTION, Pair
from server.evaluation.site_summary import SiteSummary, summarize_site

COLUMNS = ("case", "failed")
"""The columns before the metrics."""

LESION_COLUMNS = (
    "case",
    "mask",
    "lesion",
    "n_voxels",
    "volume_mm3",
    "x_mm",
    "y_mm",
    "z_mm",
    "detected",
    "overlap",
)
"""The columns of a table of lesions; the centroid is in RAS+ world mm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """How each pair is scored.

    threshold      a probability above this is lesion; needed for probabilities only
    resample       whether a prediction on another grid is brought onto the reference's
    with_lesions   whether each lesion is listed too
    """

    definition: LesionDefinition
    threshold: float | None = None
    resample: bool = False
    with_lesions: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredPair:
    """One planned case, scored or failed.

    failed    why there is no score, one line, or None
    lesions   every lesion of both masks, where they were asked for
    """

    case: str
    failed: str | None = None
    score: CaseScore | None = None
    lesions: tuple[LesionRow, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the figures should know."""
        return () if self.score is None else self.score.notes

    def as_dict(self) -> dict[str, Any]:
        """One flat row: case, failed, then every metric; None is undefined."""
        metrics = {} if self.score is None else self.score.metrics()
        return {"case": self.case, "failed": self.failed, **metrics}

    def lesion_dicts(self) -> list[dict[str, Any]]:
        """One flat row a lesion; the centroid is in RAS+ world mm."""
        return [{"case": self.case, **row.as_dict()} for row in self.lesions]


def score_pair(pair: Pair, scoring: Scoring) -> ScoredPair:
    """The score of one pair; LesionFedError says why there is none."""
    assert pair.prediction is not None, "only pairs with a prediction are scored"
    try:
        score = score_files(
            pair.reference,
            pair.prediction,
            definition=scoring.definition,
            threshold=scoring.threshold,
            resample=scoring.resample,
        )
    except GeometryError as error:
        hint = "" if scoring.resample else " Or give --resample: nearest voxel, onto the reference."
        raise GeometryError(f"{error}{hint}") from None
    lesions = _lesions(pair.reference, pair.prediction, scoring) if scoring.with_lesions else []
    return ScoredPair(case=pair.case, score=score, lesions=tuple(lesions))


def score_pairs(
    pairs: Sequence[Pair],
    scoring: Scoring,
    *,
    n_workers: int,
    on_scored: Callable[[], None] = lambda: None,
) -> list[ScoredPair]:
    """Every pair scored or failed, in the order given, whatever order they finish in.

    n_workers   processes; each holds two volumes and their distance maps in memory
    on_scored   called after each pair that can be scored
    """
    scored = {
        index: ScoredPair(case=pair.case, failed=pair.failed or NO_PREDICTION)
        for index, pair in enumerate(pairs)
        if not pair.can_be_scored
    }
    with ProcessPoolExecutor(n_workers, multiprocessing.get_context("spawn")) as pool:
        futures = {
            pool.submit(_scored_or_failed, pair, scoring): index
            for index, pair in enumerate(pairs)
            if pair.can_be_scored
        }
        try:
            for future in as_completed(futures):
                index = futures[future]
                scored[index] = _result(future, pairs[index].case)
                on_scored()
        except BaseException:  # the user stopped it: what has not begun never does
            pool.shutdown(cancel_futures=True)
            raise
    return [scored[index] for index in range(len(pairs))]


def summary(scored: Sequence[ScoredPair]) -> SiteSummary:
    """The folder as one site: planned and scored cases, and every metric over them."""
    return summarize_site(
        [
            CaseRow(
                site="",
                subject=case.case,
                failed=case.failed,
                metrics={} if case.score is None else case.score.metrics(),
            )
            for case in scored
        ]
    )


def score_files(
    reference: Path,
    prediction: Path,
    *,
    definition: LesionDefinition,
    threshold: float | None = None,
    resample: bool = False,
) -> CaseScore:
    """The score of one NIfTI file against another; GeometryError unless they share a grid.

    resample   bring a prediction on another grid onto the reference's instead, by the nearest
               voxel, and say so in the notes
    """
    truth, found = upright(read_volume(reference)), upright(read_volume(prediction))
    notes = tuple(text for _, text in noted({"reference": truth, "prediction": found}))
    if resample and not same_grid(truth, found):
        notes += (f"prediction: resampled by the nearest voxel from {grid_text(found)}",)
        if n_lost := _n_outside(found, truth, threshold):
            notes += (
                f"prediction: {n_lost} lesion voxels lie outside the reference's field of view "
                "and are left out",
            )
        found = nearest_onto(truth, found)
    if os.path.samefile(reference, prediction):
        notes += ("prediction: it is the file of the reference itself",)
    try:
        require_same_grid(truth, found, a_name=str(reference), b_name=str(prediction))
    except GeometryError as error:  # what is odd about a header may well be the reason
        raise GeometryError(
            "\n".join([str(error), *(f"Note: {note}." for note in notes)])
        ) from None
    scored = score_case(
        truth.data,
        found.data,
        spacing_mm=truth.spacing_mm,
        definition=definition,
        threshold=threshold,
    )
    return dataclasses.replace(scored, notes=(*notes, *scored.notes))


def _n_outside(found: Volume, truth: Volume, threshold: float | None) -> int:
    """Lesion voxels of `found` whose centres lie outside the grid of `truth`."""
    covered = nearest_onto(found, Volume(np.ones(truth.data.shape, dtype=np.uint8), truth.affine))
    lesion = found.data > (0 if threshold is None else threshold)
    return int(np.count_nonzero(lesion & (covered.data == 0)))


def _scored_or_failed(pair: Pair, scoring: Scoring) -> ScoredPair:
    """What `score_pair` gives, or the row of its failure: an error of ours may not be pickled."""
    try:
        return score_pair(pair, scoring)
    except Exception as error:  # any reason is the row's reason, and the other rows continue
        reason = printable("; ".join(str(error).splitlines()))
        return ScoredPair(case=pair.case, failed=f"{type(error).__name__}: {reason}")


def _result(future: Future[ScoredPair], case: str) -> ScoredPair:
    try:
        return future.result()
    except BrokenProcessPool:
        return ScoredPair(
            case=case,
            failed="a scoring process was killed, most often for lack of memory; "
            "score again with fewer --workers",
        )


def _lesions(reference: Path, prediction: Path, scoring: Scoring) -> list[LesionRow]:
    """Every lesion of two files that have been scored, so that nothing is left to refuse."""
    truth, found = upright(read_volume(reference)), upright(read_volume(prediction))
    if not same_grid(truth, found):
        found = nearest_onto(truth, found)
    return lesion_rows(
        lesion_mask(truth.data, name="reference", threshold=scoring.threshold)[0],
        lesion_mask(found.data, name="prediction", threshold=scoring.threshold)[0],
        affine=truth.affine,
        definition=scoring.definition,
    )
