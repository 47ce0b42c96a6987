"""Patches of a site that lacks a modality."""

from __future__ import annotations

import numpy as np

from common.arrays import BoolArray, Float32Array

DROPPED = 0.25
"""Probability that a modality is missing from a patch (chosen)."""


def with_modalities_missing(
    images: Float32Array, lesions: BoolArray, random: np.random.Generator
) -> tuple[Float32Array, BoolArray]:
    """Images in which each modality but the first is 0 with probability 1/4; lesions as they are.

    images    (C, i, j, k), one channel a modality
    lesions   (R, i, j, k)
    Source    Neverova et al. 2015 (ModDrop), arXiv:1501.00102. Chosen: the probability, and that
              the first modality is never missing.
    """
    missing = random.random(len(images)) < DROPPED
    missing[0] = False
    return np.where(missing[:, None, None, None], np.float32(0), images), lesions
