"""No site's update is much longer than those of the others: what is over is taken off."""

from __future__ import annotations

import dataclasses
import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from common.learning.networks.parameters import MEAN, VARIANCE
from common.wire.field_types import Arrays
from server.aggregation.interface import Aggregate

OPTIMIZER = "optimizer."
"""Begins the names of the optimizer state's arrays where they are averaged with the changes."""
VARIATES = "variates."
"""Likewise those of the changes of the sites' control variates."""
CHANGE = "change"
"""The kind of the arrays that are learned; every other kind is measured or remembered."""

_SQUARES = ("running variances", "exp_avg_sq", "square_avg", "acc_delta")
MAJORITY = 3
"""Sites from which on a median says what is usual: of two nobody knows which one is odd."""
COLUMNS = 1024
ROUNDS_KNOWN = 5
"""Rounds whose lengths count: changes become shorter as training goes on (chosen)."""

Norms = Mapping[str, Sequence[Sequence[float]]]
"""Kind of array -> for each of the last rounds, the length of each site's arrays of that kind."""


@dataclass(frozen=True, slots=True)
class Shortened:
    """A site's arrays of one kind that were longer than allowed."""

    site: str
    kind: str
    norm: float
    allowed: float


@dataclass(frozen=True, slots=True)
class _Arrived:
    site: str
    update: Arrays
    weight: float
    norms: Mapping[str, float]

    def without_update(self) -> _Arrived:
        """What is still to be known of it once its arrays are in the aggregate."""
        return dataclasses.replace(self, update={})


class BoundedUpdates:
    """Gives a round's updates to its aggregate in the order they come, none longer than allowed.

    aggregate   of the round
    began       what the round began with, by which updates are changes
    known       lengths of the rounds before
    factor      how many times as long as the median an update may be; of squares (running
                variances, an optimizer's mean squares) its square

    Lengths are Euclidean, and of each kind of array by itself: what is learned, running means and
    variances, counts, control variates, and what an optimizer remembers. One over its bound is
    scaled down to it, and the site counts.

    The median is over all sites and rounds that are known. In a first round it is that of the
    round itself: an update that is over the bound of those that have come waits until all have, and
    the first ones wait for the third. With one or two sites there is no median, and a change may be
    `factor` times as long as the parameters it changes.

    Source   Sun et al. 2019, arXiv:1911.07963 (a bound on the norm, by scaling). Chosen: the bound
             from a running median, which less than half of the sites cannot move far.
    """

    def __init__(self, aggregate: Aggregate, *, began: Arrays, known: Norms, factor: float) -> None:
        self._aggregate = aggregate
        self._own = norms_of(began)
        self._factor = factor
        enough = max((len(of_round) for of_round in known.get(CHANGE, ())), default=0) >= MAJORITY
        self._known = {kind: [n for of in rounds for n in of] for kind, rounds in known.items()}
        self._known = self._known if enough else {}
        self._arrived: list[_Arrived] = []
        self._waiting: list[_Arrived] = []
        self._shortened: list[Shortened] = []

    @property
    def shortened(self) -> list[Shortened]:
        """What was over its bound, by site and kind."""
        return sorted(self._shortened, key=lambda one: (one.site, one.kind))

    def accumulate(self, site: str, update: Arrays, weight: float) -> None:
        """Adds one site's update; UpdateRejected names the site, and leaves all as it was."""
        self._aggregate.require_alike(site, update, weight)
        new = _Arrived(site, update, weight, norms_of(update))
        allowed = self._allowed([*self._arrived, new])
        if self._known:
            self._add(new, allowed)
        elif not allowed:
            self._waiting.append(new)
        else:
            self._add_within(allowed)
            if _over(new.norms, allowed):
                self._waiting.append(new)
            else:
                self._add(new, allowed)
        self._arrived.append(new.without_update())

    def result(self) -> Arrays:
        """The aggregate of all updates; UpdateRejected where there is none."""
        allowed = self._allowed(self._arrived)
        if not allowed:
            allowed = {CHANGE: self._factor * self._own.get(CHANGE, 0.0)}
        for one in self._waiting:
            self._add(one, allowed)
        self._waiting = []
        return self._aggregate.result()

    def known_after(self, known: Norms) -> dict[str, tuple[tuple[float, ...], ...]]:
        """`known` with this round's lengths, by the names of the sites, as they were sent.

        A site counts once, with its shortest update: late ones must not make it a majority.
        """
        of_sites = _by_site(self._arrived)
        return {
            kind: (
                *(tuple(of_round) for of_round in known.get(kind, ())),
                tuple(min(of[kind] for of in norms) for norms in of_sites),
            )[-ROUNDS_KNOWN:]
            for kind in self._own
        }

    def _allowed(self, arrived: Sequence[_Arrived]) -> dict[str, float]:
        """Kind -> the longest that is allowed; nothing while too few sites are known to say it."""
        known: Mapping[str, Sequence[float]] = self._known
        if not known:
            of_sites = _by_site(arrived)
            if len(of_sites) < MAJORITY:
                return {}
            known = {
                kind: [min(of[kind] for of in norms) for norms in of_sites] for kind in self._own
            }
        return {
            kind: self._factor ** (2 if kind.endswith(_SQUARES) else 1) * statistics.median(norms)
            for kind, norms in known.items()
        }

    def _add_within(self, allowed: Mapping[str, float]) -> None:
        """Adds those that wait and are not over a bound, in the order they came."""
        still = [one for one in self._waiting if _over(one.norms, allowed)]
        for one in self._waiting:
            if not _over(one.norms, allowed):
                self._add(one, allowed)
        self._waiting = still

    def _add(self, one: _Arrived, allowed: Mapping[str, float]) -> None:
        over = _over(one.norms, allowed)
        self._aggregate.accumulate(one.site, _scaled(one.update, one.norms, over), one.weight)
        self._shortened += [
            Shortened(one.site, kind, one.norms[kind], most) for kind, most in over.items()
        ]


def norms_of(arrays: Arrays) -> dict[str, float]:
    """Kind -> Euclidean length over all arrays of that kind, whatever their order."""
    squares: dict[str, list[float]] = {}
    with np.errstate(over="ignore"):  # of a float64 that is too large to be squared
        for name, array in arrays.items():
            kind = _kind_of(name, array)
            squares.setdefault(kind, []).append(_sum_of_squares(array))
    most = sys.float_info.max
    return {kind: min(most, math.sqrt(_exact_sum(of))) for kind, of in squares.items()}


def _sum_of_squares(array: npt.NDArray[Any]) -> float:
    """The same to the last bit wherever the array lies in memory, unlike numpy's sum of one axis.

    A run that is resumed must find the same bounds: column by column, then exactly.
    """
    flat = array.astype(np.float64).ravel()
    rows = np.pad(flat, (0, -flat.size % COLUMNS)).reshape(-1, COLUMNS)
    columns = np.square(rows, out=rows).sum(axis=0)
    return _exact_sum(columns.tolist())


def _exact_sum(values: Sequence[float]) -> float:
    """Rounded once, so that it does not depend on their order; infinite where it is too large."""
    try:
        return math.fsum(values)
    except OverflowError:
        return math.inf


def _kind_of(name: str, array: npt.NDArray[Any]) -> str:
    if name.startswith(OPTIMIZER):
        slot, _, _ = name.removeprefix(OPTIMIZER).partition(".")
        return f"optimizer state {slot}"
    if name.startswith(VARIATES):
        return "control variates"
    if array.dtype.kind != "f":
        return "counts"
    if name.endswith(MEAN):
        return "running means"
    return "running variances" if name.endswith(VARIANCE) else CHANGE


def _by_site(arrived: Sequence[_Arrived]) -> list[list[Mapping[str, float]]]:
    """The lengths of each site's updates, by the names of the sites."""
    by_site: dict[str, list[Mapping[str, float]]] = {}
    for one in arrived:
        by_site.setdefault(one.site, []).append(one.norms)
    return [by_site[site] for site in sorted(by_site)]


def _over(norms: Mapping[str, float], allowed: Mapping[str, float]) -> dict[str, float]:
    """Kind -> the longest allowed, of the kinds that are longer; none can be where it is 0."""
    return {kind: most for kind, most in allowed.items() if 0 < most < norms[kind]}


def _scaled(arrays: Arrays, norms: Mapping[str, float], over: Mapping[str, float]) -> Arrays:
    """The arrays with those of the kinds in `over` as long as it says; dtypes kept."""
    if not over:
        return arrays
    scaled = {}
    for name, array in arrays.items():
        kind = _kind_of(name, array)
        if kind not in over:
            scaled[name] = array
            continue
        shorter = array.astype(np.float64) * (over[kind] / norms[kind])
        scaled[name] = np.asarray(
            np.rint(shorter) if array.dtype.kind == "i" else shorter, array.dtype
        )
    return scaled
