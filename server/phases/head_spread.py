"""How much the site head's answer depends on its input; about 0 means that it has collapsed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from common.errors import UpdateRejected
from common.wire.feature_summary import HeadAnswers


def head_spread(answers: Sequence[HeadAnswers]) -> float | None:
    """Standard deviation of the head's probabilities over all patches, mean over the sites.

    answers   of one head behind one network, of one place or of several: each patch counts alike
    returns   None without any

    From sums over patches, exactly: within the places and between them. A head that tells the
    sites apart without fail has about 0 within each, and a large spread over all.
    """
    if not answers:
        return None
    n_patches = [answer.n_patches for answer in answers]
    mean = np.average([answer.mean for answer in answers], axis=0, weights=n_patches)
    mean_square = np.average([answer.mean_square for answer in answers], axis=0, weights=n_patches)
    variance = np.maximum(mean_square - np.square(mean), 0)
    return float(np.sqrt(variance).mean())


def require_answers(site: str, answers: HeadAnswers | None, *, n_sites: int) -> None:
    """Nothing, or UpdateRejected where a head of so many sites cannot have given these."""
    if answers is None:
        return
    lengths = {len(answers.mean), len(answers.mean_square)}
    if lengths != {n_sites}:
        raise UpdateRejected(
            f"site {site}: the head's answers have {sorted(lengths)} numbers, want {n_sites}"
        )
