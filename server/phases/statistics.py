"""First phase: what the sites have, and the consortium's template from their sums."""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Generator, Mapping, Sequence

import numpy as np

from common.errors import UpdateRejected
from common.imaging.dataset.trained_grid import TrainedGrid
from common.imaging.standardization.template import TemplateSums, refuse_implausible
from common.recipe.recipe import Recipe
from common.recipe.standardization import Standardization
from common.recipe.task import Task
from common.wire.messages import Assignment, SaltedDigests, SiteStatistics, StatisticsRequest
from server.aggregation.largest_share import capped_weights
from server.aggregation.site_weight import Declared
from server.events.event_log import EventLog
from server.events.schema import SiteDescribed, TemplateMade
from server.rounds.phase import Exchange, Phase
from server.run.across_hospitals import AcrossHospitals
from server.run.run_state import RunState


class StatisticsPhase(Phase):
    """One exchange: counts from every site and, where the recipe learns it, the template.

    What the images are like that will train goes into the model file: see `TrainedGrid`.

    across   where the sites' images are at hospitals: asks for digests, and ends the run where two
             sites have one subject or one image
    """

    name = "statistics"

    def __init__(
        self, recipe: Recipe, events: EventLog, *, across: AcrossHospitals | None = None
    ) -> None:
        self._across = across
        self._recipe = recipe
        self._events = events

    def round(self, state: RunState) -> Generator[Exchange, None, RunState]:
        """The state with the template in it."""
        settings = self._recipe.standardization
        empty = TemplateSums.none(self._recipe.task.modalities, settings.n_landmarks)
        sums: dict[str, TemplateSums] = {}
        replies: dict[str, SiteStatistics] = {}
        digests: dict[str, SaltedDigests] = {}
        trains: set[str] = set()

        def request(assignment: Assignment) -> StatisticsRequest:
            if assignment.site_index < assignment.n_sites:  # those that train come first
                trains.add(assignment.site)
            return StatisticsRequest(
                assignment=assignment,
                digests=None if self._across is None else self._across.question,
            )

        def accumulate(site: str, reply: SiteStatistics) -> Mapping[str, object]:
            _require_optional(site, reply, self._recipe.task)
            checked = _sums_of(site, reply, empty=empty, settings=settings)
            facts = dataclasses.asdict(reply)
            del facts["landmark_sums"], facts["digests"]
            described = SiteDescribed(site=site, **facts)
            sums[site], replies[site] = checked, reply
            self._events.record(described)
            if reply.digests is not None:
                digests[site] = reply.digests
            return facts | {"gave_digests": reply.digests is not None}

        yield Exchange(
            request=request,
            reply=SiteStatistics,
            accumulate=accumulate,
        )
        if self._across is not None:
            self._across.require_apart(digests)
        template = settings.template
        if settings.learns_template:
            # by name, not by arrival: the last digit must not depend on who was quicker
            total = functools.reduce(operator.add, [sums[site] for site in sorted(sums)], empty)
            template = total.template()
            self._events.record(
                TemplateMade(
                    method=settings.method, landmarks=template, n_subjects=total.n_subjects
                )
            )
        grid = _trained_grid([*replies.values()])
        cases = {}
        if self._recipe.federation.steps_are == "whole-epoch":
            said = {site: replies[site].n_trainable for site in sorted(trains & replies.keys())}
            bounded = capped_weights(said, self._recipe.federation.largest_share)
            cases = {site: int(bounded[site]) for site in said}
        declared = {
            site: _declared(replies[site], self._recipe) for site in sorted(trains & replies.keys())
        }
        return dataclasses.replace(
            state, template=template, trained_grid=grid, training_cases=cases, declared=declared
        )


def _declared(reply: SiteStatistics, recipe: Recipe) -> Declared:
    takes_all = recipe.sampling.takes_lesion_free_cases
    return Declared(
        n_cases=reply.n_cases if takes_all else reply.n_trainable,
        lesion_volume_ml=reply.lesion_volume_ml,
    )


def _trained_grid(replies: Sequence[SiteStatistics]) -> TrainedGrid | None:
    """Over the sites that have something to train on and say it; None where none does."""
    said = [
        (reply, reply.spacing_mm, reply.n_stripped)
        for reply in replies
        if reply.n_trainable and reply.spacing_mm is not None and reply.n_stripped is not None
    ]
    if not said:
        return None
    return TrainedGrid.of_sites(
        [spacing_mm for _, spacing_mm, _ in said],
        n_stripped=sum(n_stripped for *_, n_stripped in said),
        n_cases=sum(reply.n_cases for reply, *_ in said),
    )


def _require_optional(site: str, reply: SiteStatistics, task: Task) -> None:
    """UpdateRejected where the site says that it lacks what every case must have."""
    for field in ("n_missing", "n_template_without"):
        found = getattr(reply, field)
        if odd := sorted(found.keys() - set(task.optional_modalities)):
            raise UpdateRejected(
                f"site {site}: {field}: want optional modalities alone "
                f"{task.optional_modalities}, got {odd[:5]}"
            )
    if over := {name: n for name, n in reply.n_missing.items() if n > reply.n_cases}:
        raise UpdateRejected(
            f"site {site}: n_missing: want at most its {reply.n_cases} cases, got {over}"
        )


def _sums_of(
    site: str, reply: SiteStatistics, *, empty: TemplateSums, settings: Standardization
) -> TemplateSums:
    """The site's sums; UpdateRejected where they do not fit its own counts or any images."""
    if reply.n_stripped is not None and reply.n_stripped > reply.n_cases:
        raise UpdateRejected(
            f"site {site}: want at most {reply.n_cases} stripped cases, as many as it has, got "
            f"{reply.n_stripped}"
        )
    # a subject has one case or more, and controls are among the cases
    controls = settings.template_from == "controls"
    n_most = min(reply.n_cases, reply.n_controls) if controls else reply.n_cases
    if reply.n_template_subjects > n_most:
        raise UpdateRejected(
            f"site {site}: want at most {n_most} subjects in the template's sums, one for each "
            f"{'control' if controls else 'case'}, got {reply.n_template_subjects}"
        )
    rows = {name: np.array(row) for name, row in reply.landmark_sums.items()}
    try:
        sums = empty + TemplateSums(reply.n_template_subjects, rows, reply.n_template_without)
        refuse_implausible(sums, method=settings.method)
    except UpdateRejected as error:
        raise UpdateRejected(f"site {site}: {error}") from None
    return sums
