"""After training: can the site be told from the encoder's features? Fitted on half the subjects."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.arrays import FloatArray
from common.errors import UpdateRejected
from common.learning.model import new_network
from common.learning.site_discriminant import (
    HALVES,
    FeatureMoments,
    SiteDiscriminant,
    fit_discriminant,
)
from common.model_file import Model
from common.wire.field_types import Arrays
from common.wire.messages import AttributionRequest, AttributionSums, FeatureRequest, FeatureSums
from server.events.event_log import EventLog
from server.events.site_probed import SiteNotProbed, SiteProbed
from server.phases.probe_accuracy import HalfSums, probe_accuracy
from server.phases.threshold_sums import selected_model
from server.rounds.phase import Exchange, Phase
from server.run.run_state import RunState

LARGEST_FEATURE = 1e6
"""No latent feature's mean is larger; its square over all patches stays finite."""

SMALLEST_SCATTER = 1e-200
MOST_NEGATIVE = 1e-6
"""Rounding leaves a scatter's smallest eigenvalue a little below 0."""

Pair = tuple[int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class _SiteFeatures:
    """One site's checked reply. indices -> subjects and patches of the first and second half."""

    n_subjects: Mapping[int, Pair]
    n_patches: Mapping[int, Pair]
    features: Arrays


class SiteProbePhase(Phase):
    """Two exchanges: moments of the features by halves; then how many patches are named right.

    They inform only, so no number of replies is needed: a late site does not cost the verdict.

    model_file   where the selected round's network is
    sites        training site -> the names of its site indices, both in the order of the indices:
                 its own name, or the names of all the sites whose cases lie in it
    """

    name = "site-probe"

    def __init__(
        self, *, model_file: Path, sites: Mapping[str, Sequence[str]], events: EventLog
    ) -> None:
        self._model_file = model_file
        self._names = [name for names in sites.values() for name in names]
        self._indices: dict[str, range] = {}
        for site, names in sites.items():
            start = sum(map(len, self._indices.values()))
            self._indices[site] = range(start, start + len(names))
        self._events = events

    def round(self, state: RunState) -> Generator[Exchange, None, RunState]:
        """The state as it was; the figures are in the event `site-probed`."""
        model = selected_model(self._model_file, state)
        of_sites = yield from self._ask_features(model)
        indices = sorted(index for one in of_sites.values() for index in one.n_subjects)
        if len(indices) < 2:
            self._end_without(
                f"{len(indices)} of {len(self._names)} training sites sent sums of their features, "
                "and two are needed. A site sends them where each half of its training subjects "
                "has as many as its policy wants"
            )
            return state
        fitted = {half: _fit(of_sites, number) for number, half in enumerate(HALVES)}
        found = yield from self._ask_attributions(model, of_sites, indices, fitted)
        missing = [self._names[index] for index in indices if index not in found]
        if missing:
            self._end_without(f"no shares came from {', '.join(missing)}")
            return state
        n_patches = min(
            patches // subjects
            for one in of_sites.values()
            for index in one.n_subjects
            for patches, subjects in zip(one.n_patches[index], one.n_subjects[index], strict=True)
        )
        result = probe_accuracy([found[index] for index in indices], n_patches=n_patches)
        self._events.record(
            SiteProbed(
                accuracy=result.accuracy,
                low=result.low,
                high=result.high,
                chance=result.chance,
                n_subjects=sum(half.n for halves in found.values() for half in halves),
                recalls=dict(
                    zip((self._names[index] for index in indices), result.recalls, strict=True)
                ),
                not_probed=tuple(
                    name for index, name in enumerate(self._names) if index not in indices
                ),
            )
        )
        return state

    def _ask_features(self, model: Model) -> Generator[Exchange, None, dict[str, _SiteFeatures]]:
        n_features = new_network(model.recipe).n_bottleneck
        assert isinstance(n_features, int), "every network says how wide its bottleneck is"
        of_sites: dict[str, _SiteFeatures] = {}

        def accumulate(site: str, reply: FeatureSums) -> Mapping[str, object]:
            of_sites[site] = _checked(site, reply, own=self._indices[site], n_features=n_features)
            return {"n_subjects": sum(map(sum, reply.n_subjects))}

        yield Exchange(
            request=lambda assignment: FeatureRequest(
                assignment=assignment,
                template=model.template,
                parameters=dict(model.parameters),
            ),
            reply=FeatureSums,
            accumulate=accumulate,
            roles=("train",),
            quorum=0,
        )
        return {site: of_sites[site] for site in sorted(of_sites)}

    def _ask_attributions(
        self,
        model: Model,
        of_sites: Mapping[str, _SiteFeatures],
        indices: Sequence[int],
        fitted: Mapping[str, SiteDiscriminant],
    ) -> Generator[Exchange, None, dict[int, tuple[HalfSums, HalfSums]]]:
        found: dict[int, tuple[HalfSums, HalfSums]] = {}

        def accumulate(site: str, reply: AttributionSums) -> Mapping[str, object]:
            asked = of_sites[site].n_subjects if site in of_sites else {}
            found.update(_halves_of(site, reply, asked))
            return {"n_subjects": sum(map(sum, reply.n_subjects))}

        discriminants = {
            f"{half}.{part}": array
            for half, one in fitted.items()
            for part, array in (("weights", one.weights), ("offsets", one.offsets))
        }
        yield Exchange(
            request=lambda assignment: AttributionRequest(
                assignment=assignment,
                template=model.template,
                parameters=dict(model.parameters),
                site_indices=tuple(indices),
                discriminants=discriminants,
            ),
            reply=AttributionSums,
            accumulate=accumulate,
            roles=("train",),
            quorum=0,
        )
        return found

    def _end_without(self, reason: str) -> None:
        self._events.record(SiteNotProbed(reason=reason))


def _fit(of_sites: Mapping[str, _SiteFeatures], half: int) -> SiteDiscriminant:
    """On one half of every site; the rows are in the order of the site indices."""
    means: dict[int, FloatArray] = {}
    scatter: FloatArray | None = None
    n_patches = 0
    for one in of_sites.values():
        if not one.n_subjects:
            continue
        own = one.features[f"{HALVES[half]}.scatter"]
        scatter = own if scatter is None else scatter + own
        means |= dict(zip(one.n_subjects, one.features[f"{HALVES[half]}.means"], strict=True))
        n_patches += sum(pair[half] for pair in one.n_patches.values())
    assert scatter is not None, "two sites or more are probed"
    in_order = np.stack([means[index] for index in sorted(means)])
    return fit_discriminant(FeatureMoments(means=in_order, scatter=scatter, n_patches=n_patches))


def _checked(
    site: str, reply: FeatureSums, *, own: Sequence[int], n_features: int
) -> _SiteFeatures:
    """The reply by index; UpdateRejected where it cannot be the moments of this site's features."""
    indices = reply.site_indices
    if list(indices) != sorted(set(indices)) or not set(indices) <= set(own):
        raise UpdateRejected(
            f"site {site}: site_indices: want its own, of {list(own)}, rising, got {indices!r:.200}"
        )
    counts = list(zip(reply.n_subjects, reply.n_patches, strict=False))
    if not len(reply.n_subjects) == len(reply.n_patches) == len(indices) or not all(
        subjects >= 1 and patches > 1 and patches >= subjects
        for pairs in counts
        for subjects, patches in zip(*pairs, strict=True)
    ):
        raise UpdateRejected(
            f"site {site}: n_subjects, n_patches: want of each of {len(indices)} indices a subject "
            "or more in both halves, and two patches or more, not fewer than subjects, got "
            f"{reply.n_subjects!r:.200} and {reply.n_patches!r:.200}"
        )
    wanted = {
        f"{half}.{part}": (n, n_features)
        for half in HALVES
        for part, n in (("means", len(indices)), ("scatter", n_features))
    }
    _check_arrays(site, reply.features, wanted if indices else {})
    for number, half in enumerate(HALVES if indices else ()):
        n_patches = sum(pair[number] for pair in reply.n_patches)
        _check_moments(site, reply.features, half, n_patches)
    return _SiteFeatures(
        n_subjects=dict(zip(indices, reply.n_subjects, strict=True)),
        n_patches=dict(zip(indices, reply.n_patches, strict=True)),
        features=reply.features,
    )


def _check_arrays(site: str, features: Arrays, wanted: Mapping[str, tuple[int, int]]) -> None:
    found = {name: (array.dtype.name, array.shape) for name, array in features.items()}
    if found != {name: ("float64", shape) for name, shape in wanted.items()}:
        raise UpdateRejected(
            f"site {site}: features: want float64 arrays {dict(wanted)}, got {found!r:.400}"
        )


def _check_moments(site: str, features: Arrays, half: str, n_patches: int) -> None:
    means, scatter = features[f"{half}.means"], features[f"{half}.scatter"]
    largest = LARGEST_FEATURE**2 * n_patches
    if not (np.abs(means) <= LARGEST_FEATURE).all() or not (np.abs(scatter) <= largest).all():
        raise UpdateRejected(
            f"site {site}: features: want finite means of at most {LARGEST_FEATURE:g} in {half}, "
            "and a scatter of their squares, got others"
        )
    if not np.array_equal(scatter, scatter.T):
        raise UpdateRejected(f"site {site}: features: want a symmetric {half}.scatter, got another")
    deviations = np.sqrt(np.maximum(np.diag(scatter), SMALLEST_SCATTER))
    least = np.linalg.eigvalsh(scatter / np.outer(deviations, deviations))[0]
    if least < -MOST_NEGATIVE:  # in units of each feature: the fit scales them too
        raise UpdateRejected(
            f"site {site}: features: want a {half}.scatter without negative variance, got "
            f"{least:g} of that of a feature"
        )


def _halves_of(
    site: str, reply: AttributionSums, asked: Mapping[int, Pair]
) -> dict[int, tuple[HalfSums, HalfSums]]:
    """Index -> its two halves; UpdateRejected where they are not sums over the subjects before."""
    if dict(zip(reply.site_indices, reply.n_subjects, strict=False)) != dict(asked) or not (
        len(reply.site_indices)
        == len(reply.n_subjects)
        == len(reply.shares)
        == len(reply.squares)
        == len(asked)
    ):
        raise UpdateRejected(
            f"site {site}: site_indices, n_subjects: want sums over the subjects of its features, "
            f"{dict(asked)}, got {reply.site_indices!r:.200} and {reply.n_subjects!r:.200}"
        )
    halves: dict[int, tuple[HalfSums, HalfSums]] = {}
    try:
        for index, shares, squares in zip(
            reply.site_indices, reply.shares, reply.squares, strict=True
        ):
            first, second = (
                HalfSums(n=asked[index][i], shares=shares[i], squares=squares[i]) for i in (0, 1)
            )
            halves[index] = first, second
    except ValueError as error:
        raise UpdateRejected(f"site {site}: {error}") from None
    return halves
