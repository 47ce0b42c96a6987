"""Sums of Dice and of lesion F1 over one part of the sites' cases: asked for, checked, added up."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from common.errors import RunFolderError, UpdateRejected
from common.imaging.standardization.template import Template
from common.membership.site import Role
from common.metrics.threshold_choice import ThresholdSums
from common.model_file import Model, read_model
from common.wire.field_types import ScoredPart
from common.wire.messages import ThresholdReply, ThresholdRequest
from server.aggregation.site_weight import Declared
from server.phases.usable_sites import usable_sites
from server.rounds.phase import Exchange
from server.run.run_state import RunState


@dataclass(frozen=True, kw_only=True, slots=True)
class SumsOverSites:
    """The sums over the cases of all sites whose policy lets them be used.

    by_smallest         one for each smallest volume of the request, without any the only one
    sites               those that have such cases, by name
    n_on_scanner_grid   of the cases, those scored on the scanner's own grid
    """

    by_smallest: tuple[ThresholdSums, ...]
    sites: tuple[str, ...]
    n_on_scanner_grid: int

    @property
    def total(self) -> ThresholdSums:
        """Those of the first smallest volume, or of the only one."""
        return self.by_smallest[0]


def sum_over_sites(
    *,
    parameters: Mapping[str, npt.NDArray[Any]],
    template: Template,
    thresholds: tuple[float, ...],
    part: ScoredPart,
    declared: Mapping[str, Declared],
    smallest_mm3: tuple[float, ...] = (),
    role: Role = "train",
    quorum: int | None = None,
    phase: str | None = None,
    on_sums: Callable[[str, ThresholdSums, int], None] = lambda site, sums, n_drawn: None,
) -> Generator[Exchange, None, SumsOverSites]:
    """Yields the one exchange, and returns the sums over all sites.

    parameters   the segmentation network's
    part      which of its cases a site scores
    declared  site -> what it said before training; a sum over more cases is refused
    smallest_mm3   below which volumes predicted lesions are dropped; none: as the recipe says
    phase     under whose name the exchange is run, see `Exchange`
    on_sums   for the part `all`, which is shown site by site: called with each site's name, its
              sums, and how many of its cases it scored on the scanner's own grid, as they come

    Of the other parts the total alone is recorded. The sums of a site whose policy wants more
    subjects in the total than there are are left out of it, see `usable_sites`.
    """
    replies: dict[str, ThresholdReply] = {}
    sums_of: dict[str, tuple[ThresholdSums, ...]] = {}
    nothing = (ThresholdSums.none(thresholds),) * max(1, len(smallest_mm3))

    def accumulate(site: str, reply: ThresholdReply) -> Mapping[str, object]:
        require_declared(site, reply.n_cases, declared)
        sums = _sums_of(site, reply, thresholds, n_smallest=len(nothing), part=part)
        if part == "all":
            on_sums(site, sums[0], reply.n_on_scanner_grid)
        sums_of[site], replies[site] = sums, reply
        if part == "all":
            return {"n_cases": reply.n_cases}
        changes = {
            "n_new_subjects": reply.n_new_subjects,
            "n_lost_subjects": reply.n_lost_subjects,
        }
        return changes if any(changes.values()) else {}  # of all parts, not of the kept cases

    yield Exchange(
        request=lambda assignment: ThresholdRequest(
            assignment=assignment,
            template=template,
            parameters=dict(parameters),
            part=part,
            thresholds=thresholds,
            smallest_mm3=smallest_mm3,
        ),
        reply=ThresholdReply,
        accumulate=accumulate,
        roles=(role,),
        quorum=quorum,
        phase=phase,
    )
    sites = usable_sites({site: reply.subjects for site, reply in replies.items()})
    return SumsOverSites(
        by_smallest=tuple(
            functools.reduce(operator.add, [sums_of[site][place] for site in sites], none)
            for place, none in enumerate(nothing)
        ),
        sites=sites,
        n_on_scanner_grid=sum(replies[site].n_on_scanner_grid for site in sites),
    )


def require_declared(site: str, n_cases: int, declared: Mapping[str, Declared]) -> None:
    """Nothing, or UpdateRejected where a site sums over more cases than it said it has.

    With ten million a single site would choose the threshold or the round.
    """
    if site in declared and n_cases > declared[site].n_cases:
        raise UpdateRejected(
            f"site {site}: want sums over at most the {declared[site].n_cases} cases that it "
            f"declared in the statistics, got {n_cases}"
        )


def means_of(sums: ThresholdSums) -> tuple[float | None, float | None]:
    """Mean Dice and mean lesion F1 at the only threshold; None where no case has one."""
    dice, lesion_f1 = sums.means("dice"), sums.means("lesion_f1")
    return None if dice is None else dice[0], None if lesion_f1 is None else lesion_f1[0]


def selected_model(model_file: Path, state: RunState) -> Model:
    """The selected round's model; RunFolderError where the file holds another.

    With the threshold just chosen, which is written to the file only when all phases are over.
    """
    model = read_model(model_file)
    wanted = None if state.selected is None else state.selected.round_index
    if model.round_index != wanted:
        raise RunFolderError(
            f"{model_file}: want the selected round {wanted}, found round "
            f"{model.round_index}. Was the file replaced? Start the run again in another folder."
        )
    return model if state.threshold_choice is None else model.with_choice(state.threshold_choice)


def _sums_of(
    site: str,
    reply: ThresholdReply,
    thresholds: tuple[float, ...],
    *,
    n_smallest: int,
    part: ScoredPart,
) -> tuple[ThresholdSums, ...]:
    """The site's sums for each smallest volume.

    UpdateRejected where they cannot be sums over so many cases.
    """
    if reply.n_on_scanner_grid > reply.n_cases:
        raise UpdateRejected(
            f"site {site}: want at most its {reply.n_cases} cases on the scanner's grid, got "
            f"{reply.n_on_scanner_grid}"
        )
    n_subjects, min_total = reply.subjects.n_subjects, reply.subjects.min_total
    if n_subjects > reply.n_cases or (n_subjects == 0) != (reply.n_cases == 0):
        raise UpdateRejected(
            f"site {site}: want from 1 to {reply.n_cases} subjects in sums over {reply.n_cases} "
            f"cases, none in sums over none; got {n_subjects}"
        )
    if part == "all" and min_total:
        raise UpdateRejected(
            f"site {site}: want sums that its policy lets be shown for this site alone, got some "
            f"for a total of {min_total} subjects"
        )
    n = len(thresholds)
    try:
        if not len(reply.dice_sums) == len(reply.lesion_f1_sums) == n * n_smallest:
            times = f" with each of {n_smallest} smallest volumes" if n_smallest > 1 else ""
            raise ValueError(
                f"want a sum of Dice and of lesion F1 for each of {n} thresholds{times}, got "
                f"{len(reply.dice_sums)} and {len(reply.lesion_f1_sums)}"
            )
        return tuple(
            ThresholdSums(
                thresholds=thresholds,
                dice=reply.dice_sums[n * place : n * (place + 1)],
                lesion_f1=reply.lesion_f1_sums[n * place : n * (place + 1)],
                n_dice=reply.n_dice,
                n_lesion_f1=reply.n_lesion_f1,
                n_cases=reply.n_cases,
            )
            for place in range(n_smallest)
        )
    except ValueError as error:
        raise UpdateRejected(f"site {site}: {error}") from None
