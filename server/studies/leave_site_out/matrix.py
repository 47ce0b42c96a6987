"""The matrix of a study: each network and threshold, evaluated at each site that it never saw."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from server.evaluation.site_summary import summarize_sites
from server.studies.leave_site_out.cells import Cell


@dataclass(frozen=True, kw_only=True, slots=True)
class CellSummary:
    """One line of matrix.csv. Undefined values are in no average; None where none is defined.

    trained_on    the sites, joined by +
    failed        why the run has no result, or None
    dice_pooled   over all voxels of the site's scored cases together
    """

    method: str
    trained_on: str
    tested_on: str
    failed: str | None
    n_planned: int
    n_scored: int
    dice_mean: float | None
    dice_median: float | None
    dice_pooled: float | None
    lesion_f1_mean: float | None


def matrix_rows(cells: Iterable[Cell]) -> list[CellSummary]:
    """One row a cell, in the order given."""
    return [_row(cell) for cell in cells]


def _row(cell: Cell) -> CellSummary:
    of_site = next(iter(summarize_sites(cell.rows)), None)  # None: a site without a single case
    dice = of_site.metric("dice") if of_site else None
    return CellSummary(
        method=cell.method,
        trained_on="+".join(cell.trained_on),
        tested_on=cell.tested_on,
        failed=cell.failed,
        n_planned=len(cell.rows),
        n_scored=of_site.n_scored if of_site else 0,
        dice_mean=dice.mean if dice else None,
        dice_median=dice.median if dice else None,
        dice_pooled=of_site.pooled_dice if of_site else None,
        lesion_f1_mean=of_site.metric("lesion_f1").mean if of_site else None,
    )
