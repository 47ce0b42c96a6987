"""What every aggregation rule offers, and which updates it refuses."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from common.errors import UpdateRejected
from common.learning.networks.parameters import running_statistics
from common.wire.field_types import Arrays

FARTHEST = 1e18
"""How far a running mean may move: its square must be a float32."""


class Aggregate(ABC):
    """Takes the sites' updates, one at a time, and gives the consortium's.

    largest_share   of the weights of all sites that one may have, see `capped_weights`
    like   the parameters that sites start from, name -> array; every update must have these names,
           shapes and dtypes, all values finite. A running variance must not come below 0, nor a
           running mean move farther than FARTHEST: no site that measured them sends that, and the
           network would answer NaN everywhere. A late update, made from older parameters, is held
           to the same.

    To add a rule: a file here with a subclass, a line in `registry.py`, and its name in
    `federation.aggregation` of the recipe.
    """

    def __init__(
        self, like: Mapping[str, npt.NDArray[np.generic]], *, largest_share: float | None = None
    ) -> None:
        self._largest_share = largest_share
        self._like = {name: (array.shape, array.dtype) for name, array in like.items()}
        self._variance_of = running_statistics(like)
        self._variances: Arrays = {name: like[name] for name in self._variance_of.values()}

    def accumulate(self, site: str, update: Arrays, weight: float) -> None:
        """Adds one site's update; UpdateRejected names the site, and leaves all as it was."""
        self.require_alike(site, update, weight)
        self._add(site, update, weight)

    @property
    def capped(self) -> dict[str, tuple[float, float]]:
        """Site -> the share it would have had and the one it has, of those bounded; once there is a
        result."""
        return {}

    @abstractmethod
    def result(self) -> Arrays:
        """The aggregate of all updates accumulated; UpdateRejected where there is none."""

    @staticmethod
    @abstractmethod
    def copies_held(n_sites: int, *, largest_share: float | None = None) -> int:
        """Memory it needs once so many sites have sent, in float32 copies of the parameters."""

    @abstractmethod
    def _add(self, site: str, update: Arrays, weight: float) -> None:
        """Adds a site's update that has been checked: the whole of it, or nothing."""

    def _as_sent(self, name: str, value: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """`value` in the dtype of `like`; whole numbers are rounded."""
        dtype: np.dtype[Any] = self._like[name][1]
        return np.asarray(np.rint(value) if dtype.kind == "i" else value, dtype)

    def require_alike(self, site: str, update: Arrays, weight: float) -> None:
        """Nothing, or UpdateRejected where this update cannot be accumulated."""
        if not 0 < weight < math.inf:
            raise UpdateRejected(f"site {site}: want a weight above 0, got {weight!r}")
        if odd := sorted(update.keys() ^ self._like.keys()):
            raise UpdateRejected(f"site {site}: these arrays are missing or unknown: {odd[:5]}")
        for name, array in update.items():
            shape, dtype = self._like[name]
            if array.shape != shape or array.dtype != dtype:
                raise UpdateRejected(
                    f"site {site}: {name} should be {dtype}{list(shape)}, "
                    f"got {array.dtype}{list(array.shape)}"
                )
            if not np.isfinite(array).all():
                n_odd = int(np.size(array) - np.isfinite(array).sum())
                raise UpdateRejected(
                    f"site {site}: {name} has {n_odd} values that are NaN or infinite; "
                    "its update is left out of this round"
                )
        for mean, variance in self._variance_of.items():
            if np.any(np.add(self._variances[variance], update[variance]) < 0):
                raise UpdateRejected(
                    f"site {site}: {variance} would be below 0, want a variance of 0 or more; its "
                    "update is left out of this round"
                )
            if (np.abs(update[mean]) > FARTHEST).any():
                raise UpdateRejected(
                    f"site {site}: {mean} moves by more than {FARTHEST:g}; its update is left out "
                    "of this round"
                )
