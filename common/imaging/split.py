"""Which of a site's cases train, and which it keeps to score the network on."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from common.imaging.prepared import PreparedCase


def split_cases(
    cases: Sequence[PreparedCase], *, validation_share: float, seed: int
) -> tuple[list[PreparedCase], list[PreparedCase]]:
    """The cases that train and the cases kept from training; a subject is never in both.

    validation_share   of the subjects, rounded down
    """
    subjects = sorted({case.subject for case in cases})
    n_kept = math.floor(validation_share * len(subjects))
    order = np.random.default_rng(seed).permutation(len(subjects))
    kept = {subjects[index] for index in order[:n_kept]}
    training = [case for case in cases if case.subject not in kept]
    return training, [case for case in cases if case.subject in kept]
