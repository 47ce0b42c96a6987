"""Before training: what the sites' own cases will choose, and what to do where it is nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from common.recipe.recipe import Recipe
from common.wire.messages import SummedSubjects
from server.events.schema import ChoiceAnnounced
from server.phases.usable_sites import n_subjects_of, usable_sites

POLICY = (
    'let the hospitals allow it in site.toml (policy.sums_count = "federation", or fewer '
    "policy.min_subjects)"
)
TOO_FEW = (
    "No site keeps subjects with lesions from training for it, or not as many as the sites' "
    "policies want"
)


def announce_round(subjects: Mapping[str, SummedSubjects], recipe: Recipe) -> ChoiceAnnounced:
    """The event for a run without a validation site. subjects: what each site will bring."""
    share = recipe.federation.site_validation_share
    reason = TOO_FEW if share else "federation.site_validation_share is 0"
    change = f"raise federation.site_validation_share, {POLICY}, or name a validation site"
    return _announced("round", subjects, f"the last one is the result. {reason}: {change}.")


def announce_threshold(subjects: Mapping[str, SummedSubjects], recipe: Recipe) -> ChoiceAnnounced:
    """The event for a run whose recipe has the threshold chosen at the sites."""
    own = recipe.federation.site_threshold_share > 0
    share = "site_threshold_share" if own else "site_validation_share"
    change = f"raise federation.{share}, {POLICY}, or choose one with `lesionfed threshold`"
    kept = f"the recipe's {recipe.inference.threshold:g} stays"
    return _announced("threshold", subjects, f"{kept}. {TOO_FEW}: {change}.")


def _announced(
    choice: Literal["round", "threshold"], subjects: Mapping[str, SummedSubjects], otherwise: str
) -> ChoiceAnnounced:
    sites = usable_sites(subjects)
    return ChoiceAnnounced(
        choice=choice,
        n_subjects=n_subjects_of(sites, subjects),
        n_sites=len(sites),
        otherwise=None if sites else otherwise,
    )
