"""Sums of Dice and of lesion F1 over one part of the sites' cases: asked for, checked, added up."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Generator, Mapping
from pathlib import Path

from common.errors import RunFolderError, UpdateRejected
from common.membership.site import Role
from common.metrics.threshold_choice import ThresholdSums
from common.model_file import Model, read_model
from common.wire.messages import ScoredPart, ThresholdReply, ThresholdRequest
from server.rounds.phase import Exchange
from server.run.run_state import RunState


def sum_over_sites(
    model: Model,
    thresholds: tuple[float, ...],
    *,
    part: ScoredPart,
    role: Role = "train",
    quorum: int | None = None,
    on_sums: Callable[[str, ThresholdSums, int], None] = lambda site, sums, n_drawn: None,
) -> Generator[Exchange, None, ThresholdSums]:
    """Yields the one exchange, and returns the sums over all sites.

    part      which of its cases a site scores
    on_sums   called with each site's name, its sums, and how many of its cases it scored on the
              scanner's own grid, as they come
    """
    of_sites: dict[str, ThresholdSums] = {}

    def accumulate(site: str, reply: ThresholdReply) -> Mapping[str, object]:
        of_sites[site] = _sums_of(site, reply, thresholds)
        on_sums(site, of_sites[site], reply.n_on_scanner_grid)
        return {"n_cases": reply.n_cases}

    yield Exchange(
        request=lambda assignment: ThresholdRequest(
            assignment=assignment,
            template=model.template,
            parameters=dict(model.parameters),
            part=part,
            thresholds=thresholds,
        ),
        reply=ThresholdReply,
        accumulate=accumulate,
        roles=(role,),
        quorum=quorum,
    )
    in_order = [of_sites[site] for site in sorted(of_sites)]
    return functools.reduce(operator.add, in_order, ThresholdSums.none(thresholds))


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


def _sums_of(site: str, reply: ThresholdReply, thresholds: tuple[float, ...]) -> ThresholdSums:
    """The site's sums; UpdateRejected where they cannot be sums over so many cases."""
    if reply.n_on_scanner_grid > reply.n_cases:
        raise UpdateRejected(
            f"site {site}: want at most its {reply.n_cases} cases on the scanner's grid, got "
            f"{reply.n_on_scanner_grid}"
        )
    try:
        return ThresholdSums(
            thresholds=thresholds,
            dice=reply.dice_sums,
            lesion_f1=reply.lesion_f1_sums,
            n_dice=reply.n_dice,
            n_lesion_f1=reply.n_lesion_f1,
            n_cases=reply.n_cases,
        )
    except ValueError as error:
        raise UpdateRejected(f"site {site}: {error}") from None
