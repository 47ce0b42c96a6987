"""Third step: one case's predicted lesions against its reference, in figures."""

from __future__ import annotations

import numpy as np

from common.arrays import BoolArray, Float32Array
from common.errors import LesionFedError
from common.imaging.dataset.prepared import PreparedCase
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


def score_fully(
    site: str, case: PreparedCase, probability: Float32Array, model: Model
) -> ScoredCase:
    """The case's row, its lesions, and its counts by threshold and by probability.

    probability   (i, j, k) on the case's crop, 0 outside the brain
    """
    assert case.lesions is not None, "only cases with a reference are scored"
    definition = preset(model.recipe.evaluation.preset)
    reference = case.on_file_grid(np.asarray(case.lesions))
    whole = case.on_file_grid(probability).data
    mask = found_lesions(probability, model.threshold, model.recipe)
    return ScoredCase(
        row=score_prepared(case, mask, site=site, recipe=model.recipe),
        lesions=lesion_rows(
            reference.data, case.on_file_grid(mask).data, affine=case.affine, definition=definition
        ),
        sweep=sweep_thresholds(
            whole,
            reference.data,
            spacing_mm=reference.spacing_mm,
            definition=definition,
            min_voxels=model.recipe.inference.min_lesion_voxels,
        ),
        probabilities=count_probabilities(
            probability, np.asarray(case.lesions), np.asarray(case.brain)
        ),
    )
