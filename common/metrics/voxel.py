"""How well two masks agree voxel by voxel, over the whole grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.arrays import BoolArray


@dataclass(frozen=True, kw_only=True, slots=True)
class VoxelCounts:
    """The four counts, and the metrics made of them; None where a metric is undefined.

    tp  true positives: lesion in both masks
    fp  false positives: lesion in the prediction only
    fn  false negatives: lesion in the reference only
    tn  true negatives: lesion in neither

    Without a lesion voxel in the reference every metric is undefined, never 0: a mean over cases
    would otherwise reward or punish scans that have nothing to find.
    """

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def dice(self) -> float | None:
        """2 TP / (2 TP + FP + FN)."""
        return self._ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def jaccard(self) -> float | None:
        """TP / (TP + FP + FN)."""
        return self._ratio(self.tp, self.tp + self.fp + self.fn)

    @property
    def sensitivity(self) -> float | None:
        """TP / (TP + FN): share of the reference that was found."""
        return self._ratio(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> float | None:
        """TN / (TN + FP); close to 1, because most voxels are background."""
        return self._ratio(self.tn, self.tn + self.fp)

    @property
    def ppv(self) -> float | None:
        """TP / (TP + FP): share of the prediction that is right; None for an empty prediction."""
        return self._ratio(self.tp, self.tp + self.fp)

    @property
    def npv(self) -> float | None:
        """TN / (TN + FN): share of the predicted background that is background."""
        return self._ratio(self.tn, self.tn + self.fn)

    @property
    def relative_volume_error_pct(self) -> float | None:
        """100 (V_pred - V_ref) / V_ref, percent: above 0 when too much was drawn."""
        return self._ratio(100 * (self.fp - self.fn), self.tp + self.fn)

    def _ratio(self, part: int, whole: int) -> float | None:
        reference_is_empty = self.tp + self.fn == 0
        return None if reference_is_empty or whole == 0 else part / whole


def count_voxels(reference: BoolArray, prediction: BoolArray) -> VoxelCounts:
    """How many voxels of two masks of one shape agree and differ."""
    n_reference = int(np.count_nonzero(reference))
    n_prediction = int(np.count_nonzero(prediction))
    tp = int(np.count_nonzero(reference & prediction))
    fp, fn = n_prediction - tp, n_reference - tp
    return VoxelCounts(tp=tp, fp=fp, fn=fn, tn=reference.size - tp - fp - fn)
