"""The lesion F1 that the metric network learns to estimate."""

from __future__ import annotations

from common.arrays import BoolArray
from common.learning.lesion_wise.lesion_events import lesion_events


def true_lesion_f1(reference: BoolArray, prediction: BoolArray) -> float:
    """Lesion F1 of two masks by any overlap, 2 LTPR LPPV / (LTPR + LPPV), in [0, 1].

    reference, prediction  (i, j, k)

    Source   Kamraoui et al. 2021; connectivity and smallest lesion as in the preset `kamraoui`.
    Chosen   both empty: 1; one empty: 0. The preset is undefined without a reference lesion, but
             a network that trains on patches meets such patches all the time.
    """
    return lesion_events(reference, prediction).lesion_f1
