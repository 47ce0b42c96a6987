"""How well the metric network judges what a half-trained segmenter really answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from common.arrays import BoolArray, Float32Array
from common.errors import GeometryError
from common.learning.lesion_wise.lesion_f1 import true_lesion_f1
from common.learning.lesion_wise.metric_figures import MetricFigures, estimates_of, figures_of
from common.learning.lesion_wise.metric_network import MetricNetwork


def figures_on(
    network: MetricNetwork,
    references: Sequence[BoolArray] | BoolArray,
    probabilities: Sequence[Float32Array] | Float32Array,
) -> MetricFigures:
    """The figures on pairs of reference and probability map, such as a segmenter's.

    references      n masks (i, j, k) of one shape
    probabilities   n maps of the same shape, in [0, 1]; the true lesion F1 is that above 0.5
    GeometryError where there is no pair, or numbers or shapes differ.
    """
    shapes = {np.shape(array) for array in (*references, *probabilities)}
    if len(references) != len(probabilities) or len(shapes) != 1:
        raise GeometryError(
            "want as many references as probability maps, at least one and all of one shape, got "
            f"{len(references)} and {len(probabilities)} of shapes {sorted(shapes)}. Cut patches "
            "of one shape."
        )
    targets = [
        true_lesion_f1(np.asarray(reference, bool), np.asarray(probability) > 0.5)
        for reference, probability in zip(references, probabilities, strict=True)
    ]
    estimates = estimates_of(network, references, probabilities)
    return figures_of(estimates, np.array(targets, np.float32))
