"""How well two masks agree lesion by lesion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.arrays import BoolArray
from common.metrics.components import Spacing, find_lesions, voxel_volume_mm3
from common.metrics.detection import match_lesions
from common.metrics.presets import LesionDefinition


@dataclass(frozen=True, kw_only=True, slots=True)
class LesionCounts:
    """Counts of lesions, and the metrics made of them; None where a metric is undefined.

    n_reference, n_predicted  lesions of each mask
    n_detected                reference lesions that the prediction found: TP; the others are FN
    n_confirmed               predicted lesions that the reference found: TP; the others are FP
    n_touched                 reference lesions that share a voxel with a predicted one
    n_untouching              predicted lesions that share none with a reference one
                              (`match_lesions` has the rules)
    reference_volume_mm3, predicted_volume_mm3  volume of those lesions, small components left out
    reference_is_empty, prediction_is_empty     whether the mask had no voxel at all, small or not
    """

    n_reference: int
    n_predicted: int
    n_detected: int
    n_confirmed: int
    n_touched: int
    n_untouching: int
    reference_volume_mm3: float
    predicted_volume_mm3: float
    reference_is_empty: bool
    prediction_is_empty: bool

    @property
    def lesion_sensitivity(self) -> float | None:
        """Share of the reference lesions that were found.

        Where the reference holds small components only: 0 for an empty prediction, else undefined.
        """
        return self._share_of_reference(self.n_detected)

    @property
    def lesion_ppv(self) -> float | None:
        """Share of the predicted lesions that are confirmed; 0 when none was predicted."""
        if self.reference_is_empty:
            return None
        return self.n_confirmed / self.n_predicted if self.n_predicted else 0.0

    @property
    def lesion_f1(self) -> float | None:
        """Harmonic mean of sensitivity and PPV; 0 when either is 0."""
        if self.reference_is_empty:
            return None
        sensitivity, ppv = self.lesion_sensitivity, self.lesion_ppv
        if not sensitivity or not ppv:
            return 0.0
        return 2 * sensitivity * ppv / (sensitivity + ppv)

    @property
    def ltpr(self) -> float | None:
        """Share of the reference lesions that any predicted lesion touches, whatever the matching.

        Undefined and 0 where `lesion_sensitivity` is.
        """
        return self._share_of_reference(self.n_touched)

    @property
    def lfpr(self) -> float | None:
        """Share of the predicted lesions that touch no reference lesion, whatever the matching.

        Undefined when none was predicted (chosen: 0 would reward a method for finding nothing).
        """
        if self.reference_is_empty or self.n_predicted == 0:
            return None
        return self.n_untouching / self.n_predicted

    def _share_of_reference(self, n_lesions: int) -> float | None:
        if self.reference_is_empty:
            return None
        if self.n_reference == 0:
            return 0.0 if self.prediction_is_empty else None
        return n_lesions / self.n_reference


def count_lesions(
    reference: BoolArray,
    prediction: BoolArray,
    *,
    spacing_mm: Spacing,
    definition: LesionDefinition,
) -> LesionCounts:
    """How many lesions of two masks on one grid were found.

    reference, prediction  (i, j, k)
    spacing_mm             along i, j and k
    """
    ours = find_lesions(reference, spacing_mm=spacing_mm, definition=definition)
    theirs = find_lesions(prediction, spacing_mm=spacing_mm, definition=definition)
    matches = match_lesions(ours, theirs, definition)
    voxel_mm3 = voxel_volume_mm3(spacing_mm)
    return LesionCounts(
        n_reference=len(ours),
        n_predicted=len(theirs),
        n_detected=int(np.count_nonzero(matches.detected)),
        n_confirmed=int(np.count_nonzero(matches.confirmed)),
        n_touched=int(np.count_nonzero(matches.touched)),
        n_untouching=int(np.count_nonzero(matches.untouching)),
        reference_volume_mm3=int(ours.sizes.sum()) * voxel_mm3,
        predicted_volume_mm3=int(theirs.sizes.sum()) * voxel_mm3,
        reference_is_empty=not reference.any(),
        prediction_is_empty=not prediction.any(),
    )
