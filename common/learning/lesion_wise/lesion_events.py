"""Lesion F1 that the metric network learns, and the events it is made of.

Found and missed lesions of the reference, confirmed and false ones of the prediction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.arrays import BoolArray, Float32Array
from common.metrics.components import Lesions, find_lesions
from common.metrics.detection import LesionMatches, match_lesions
from common.metrics.presets import KAMRAOUI

CELL = 4
"""Edge of the cells in which events are counted, voxels."""

_VOXELS = (1.0, 1.0, 1.0)  # the definition has no smallest lesion, so the spacing changes nothing


@dataclass(frozen=True, kw_only=True, slots=True)
class LesionEvents:
    """How many lesions of two masks share a voxel with one of the other mask, and how many do not.

    n_found, n_missed      lesions of the reference
    n_confirmed, n_false   lesions of the prediction
    """

    n_found: int
    n_missed: int
    n_confirmed: int
    n_false: int

    @property
    def lesion_f1(self) -> float:
        """2 LTPR LPPV / (LTPR + LPPV); both masks empty: 1, one empty or nothing found: 0."""
        n_reference, n_predicted = self.n_found + self.n_missed, self.n_confirmed + self.n_false
        if n_reference == 0 and n_predicted == 0:
            return 1.0
        if self.n_found == 0:  # then nothing is confirmed either
            return 0.0
        ltpr, lppv = self.n_found / n_reference, self.n_confirmed / n_predicted
        return 2 * ltpr * lppv / (ltpr + lppv)


def true_lesion_f1(reference: BoolArray, prediction: BoolArray) -> float:
    """Lesion F1 of two masks by any overlap, 2 LTPR LPPV / (LTPR + LPPV), in [0, 1].

    reference, prediction  (i, j, k)

    Source   Kamraoui et al. 2021; connectivity and smallest lesion as in the preset `kamraoui`.
    Chosen   both empty: 1; one empty: 0. The preset is undefined without a reference lesion, but
             a network that trains on patches meets such patches all the time.
    """
    return lesion_events(reference, prediction).lesion_f1


def lesion_events(reference: BoolArray, prediction: BoolArray) -> LesionEvents:
    """The four counts of two masks (i, j, k) of one shape, by the preset `kamraoui`."""
    ours, theirs, matches = _matched(reference, prediction)
    n_found = int(np.count_nonzero(matches.detected))
    n_confirmed = int(np.count_nonzero(matches.confirmed))
    return LesionEvents(
        n_found=n_found,
        n_missed=len(ours) - n_found,
        n_confirmed=n_confirmed,
        n_false=len(theirs) - n_confirmed,
    )


def events_in_cells(reference: BoolArray, prediction: BoolArray) -> Float32Array:
    """Where the events are: lesions found, missed, confirmed and false, (4, i/4, j/4, k/4).

    reference, prediction  (i, j, k), each a multiple of 4

    A lesion counts in each cell by the share of its voxels there, so sums are `lesion_events`.
    """
    ours, theirs, matches = _matched(reference, prediction)
    i, j, k = (n // CELL for n in reference.shape)
    events = []
    for lesions, hit in ((ours, matches.detected), (theirs, matches.confirmed)):
        for counted in (hit, ~hit):
            share = np.concatenate([[0.0], counted / lesions.sizes])[lesions.labels]
            events.append(share.reshape(i, CELL, j, CELL, k, CELL).sum((1, 3, 5)))
    return np.stack(events).astype(np.float32)


def _matched(reference: BoolArray, prediction: BoolArray) -> tuple[Lesions, Lesions, LesionMatches]:
    """Lesions of both masks, and which of each share a voxel with the other mask's."""
    ours = find_lesions(reference, spacing_mm=_VOXELS, definition=KAMRAOUI)
    theirs = find_lesions(prediction, spacing_mm=_VOXELS, definition=KAMRAOUI)
    return ours, theirs, match_lesions(ours, theirs, KAMRAOUI)
