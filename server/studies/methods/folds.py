"""Cross-validation over sites: each is unseen in one fold, validates in one, trains in the rest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from common.errors import ConfigError
from common.seeds import derived_seed
from server.studies.plan import Parts

MIN_FOLDS = 3
"""One part is unseen, one validates, and something has to train."""


def split_sites(sites: Sequence[str], n_folds: int, *, seed: int) -> list[tuple[str, ...]]:
    """The sites in `n_folds` parts that differ by one site at most; ConfigError where it cannot be.

    The same sites and seed give the same parts, whatever order the sites are named in.
    """
    if n_folds < MIN_FOLDS:
        raise ConfigError(
            f"want at least {MIN_FOLDS} folds, got {n_folds}: one part is unseen, one chooses the "
            "round, and the rest trains"
        )
    if len(sites) < n_folds:
        raise ConfigError(
            f"want at least one site a fold, got {len(sites)} sites for {n_folds} folds. "
            "Add --site NAME=PATH, or lower --folds."
        )
    order = np.random.default_rng(derived_seed(seed, "folds")).permutation(len(sites))
    shuffled = [sorted(sites)[index] for index in order]
    return [tuple(shuffled[part::n_folds]) for part in range(n_folds)]


def parts_of_fold(folds: Sequence[Sequence[str]], fold: int) -> Parts:
    """Who is what in fold `fold`, counted from 1: its own part is unseen, the next validates.

    With five folds that is 60 / 20 / 20 % of the sites.
    Source  Aslani et al. 2020, who state the shares; which part validates is chosen.
    """
    n_folds = len(folds)
    unseen, validation = fold - 1, fold % n_folds
    return Parts(
        train=tuple(
            site
            for part in range(n_folds)
            if part not in (unseen, validation)
            for site in folds[part]
        ),
        validation=tuple(folds[validation]),
        unseen=tuple(folds[unseen]),
    )
