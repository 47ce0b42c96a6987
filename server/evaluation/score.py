"""Third step: one case's predicted lesions against its reference, in figures."""

from __future__ import annotations

import dataclasses

import numpy as np

from common.arrays import BoolArray
from common.errors import LesionFedError
from common.imaging.dataset.prepared import PreparedCase
from common.imaging.dataset.where_drawn import FoundInCase
from common.imaging.volume import Volume
from common.learning.segmentation import found_lesions
from common.metrics.case import score_case
from common.metrics.lesion_table import lesion_rows
from common.metrics.presets import preset
from common.metrics.probability_counts import count_probabilities
from common.metrics.threshold_sweep import sweep_thresholds
from common.model_file import Model
from common.recipe.recipe import Recipe
from server.evaluation.case_row import CaseRow
from server.evaluation.evaluation_folder import ScoredCase
from server.evaluation.lost_lesions import n_lost_lesions
from server.evaluation.site_summary import LOST


def score_prepared(case: PreparedCase, mask: BoolArray, *, site: str, recipe: Recipe) -> CaseRow:
    """The case's row: its mask against its reference, both on the file's whole grid."""
    reference, prediction = _reference(case), case.on_file_grid(mask)
    score = score_case(
        reference.data,
        prediction.data,
        spacing_mm=reference.spacing_mm,
        definition=preset(recipe.evaluation.preset),
    )
    return CaseRow(
        site=site,
        subject=case.subject,
        session=case.session,
        missing=", ".join(case.missing) or None,
        metrics=score.metrics(),
    )


def failed_row(site: str, case: PreparedCase, error: LesionFedError) -> CaseRow:
    """The row of a case that could not be scored; it counts among the planned ones."""
    return CaseRow(
        site=site,
        subject=case.subject,
        session=case.session,
        failed=error.code,
        missing=", ".join(case.missing) or None,
    )


def score_where_drawn(
    site: str,
    prepared: PreparedCase,
    judged: FoundInCase,
    *,
    threshold: float,
    recipe: Recipe,
    at_least: int | None = None,
) -> CaseRow:
    """The case's row on the grid of `judged`: lesion is above the threshold there.

    at_least   voxels that a lesion has there; None: as many as the recipe says
    prepared   the case as it was prepared: lesions that are in `judged` alone are counted
    """
    mask = found_lesions(judged.probability, threshold, recipe, at_least=at_least)
    row = score_prepared(judged.case, mask, site=site, recipe=recipe)
    if judged.drawn is None:
        return row
    definition = preset(recipe.evaluation.preset)
    n_lost = n_lost_lesions(judged.drawn, _reference(prepared), definition)
    lost = {LOST: n_lost if judged.drawn.lesions.data.any() else None}
    return dataclasses.replace(row, grid=judged.grid, metrics={**row.metrics, **lost})


def score_fully(site: str, prepared: FoundInCase, judged: FoundInCase, model: Model) -> ScoredCase:
    """The case's row, its lesions, and its counts by threshold and by probability, where drawn.

    prepared, judged   what was found, as the network gave it and by `where_drawn`
    """
    case, threshold, recipe = judged.case, model.threshold, model.recipe
    definition = preset(recipe.evaluation.preset)
    reference = _reference(case)
    at_least = model.at_least(case.voxel_volume_mm3)
    mask = found_lesions(judged.probability, threshold, recipe, at_least=at_least)
    on_prepared_grid = None
    if judged is not prepared:
        there = model.at_least(prepared.case.voxel_volume_mm3)
        found = found_lesions(prepared.probability, threshold, recipe, at_least=there)
        on_prepared_grid = score_prepared(prepared.case, found, site=site, recipe=recipe)
    return ScoredCase(
        row=score_where_drawn(
            site, prepared.case, judged, threshold=threshold, recipe=recipe, at_least=at_least
        ),
        on_prepared_grid=on_prepared_grid,
        lesions=lesion_rows(
            reference.data, case.on_file_grid(mask).data, affine=case.affine, definition=definition
        ),
        sweep=sweep_thresholds(
            case.on_file_grid(judged.probability).data,
            reference.data,
            spacing_mm=reference.spacing_mm,
            definition=definition,
            min_voxels=at_least,
        ),
        probabilities=count_probabilities(
            judged.probability, np.asarray(case.lesions), np.asarray(case.brain)
        ),
    )


def _reference(case: PreparedCase) -> Volume:
    """The case's reference on its file's whole grid."""
    assert case.lesions is not None, "only cases with a reference are scored"
    return case.on_file_grid(np.asarray(case.lesions))
