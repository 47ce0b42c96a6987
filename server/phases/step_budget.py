"""How many steps a site is asked for: its own, and fewer where it is slow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from common.recipe.federation import PatchesPerSubject
from common.recipe.recipe import Recipe


def own_steps(site: str, training_cases: Mapping[str, int], recipe: Recipe) -> int | None:
    """The site's steps in a round where it is fast; None where it counts them by its subjects.

    training_cases   site -> its cases with lesions, of the sites over which a whole epoch's steps
                     are divided

    A site that was not there when cases were counted takes as many as the others do in the mean.
    """
    if isinstance(recipe.optimizer.steps, PatchesPerSubject):
        return None
    steps = recipe.optimizer.steps
    if recipe.federation.steps_are == "per-site":
        return steps
    parts = parts_of_epoch(steps, training_cases)
    if not parts:
        return steps
    return parts.get(site, max(1, round(steps / len(parts))))


def parts_of_epoch(steps: int, training_cases: Mapping[str, int]) -> dict[str, int]:
    """Site -> its part of `steps`, in proportion to its cases; the parts add up to `steps`.

    Whole steps by the largest remainder, by name where these are equal. Each site takes at least
    one, so that fewer steps than sites add up to the number of sites. A site without a case has no
    part.
    """
    sites = sorted(site for site, n_cases in training_cases.items() if n_cases > 0)
    parts: dict[str, int] = {}
    while few := [s for s in sites if _quota(s, sites, steps, training_cases) < 1]:
        parts |= dict.fromkeys(few, 1)
        sites = [site for site in sites if site not in parts]
        steps -= len(few)
    quotas = {site: _quota(site, sites, steps, training_cases) for site in sites}
    parts |= {site: int(quota) for site, quota in quotas.items()}
    left = steps - sum(int(quota) for quota in quotas.values())
    for site in sorted(sites, key=lambda s: (int(quotas[s]) - quotas[s], s))[: max(0, left)]:
        parts[site] += 1
    return dict(sorted(parts.items()))


def _quota(
    site: str, sites: Sequence[str], steps: int, training_cases: Mapping[str, int]
) -> Fraction:
    """Exact, so that the parts do not depend on rounding."""
    return Fraction(steps * training_cases[site], sum(training_cases[name] for name in sites))


def steps_within(step_seconds: float | None, own: int, recipe: Recipe) -> int:
    """The steps to ask a site for: its own, or what fits in its share of the deadline.

    step_seconds   estimated cost of one step there; None where the site has not trained yet

    At least 1, at most its own; its own where the recipe sets no budget.
    """
    budget_s = _budget_s(recipe)
    if budget_s is None or step_seconds is None:
        return own
    return max(1, int(min(own, budget_s / step_seconds)))


def step_seconds_after(
    before: Mapping[str, float],
    asked: Mapping[str, int],
    wall_s: Mapping[str, float],
    recipe: Recipe,
) -> dict[str, float]:
    """Site -> estimated seconds of one step there, after a round.

    asked    site -> steps asked for in the round
    wall_s   site -> how long its work took, by its own clock, of those whose update counted

    Everything a site did counts as steps (reading, scoring its kept cases), which errs to its
    advantage. One that was asked and sent nothing is asked for half as many the next time. Nothing
    is kept where the recipe sets no budget.

    Source   chosen. Similar: partial work, Li et al. 2020, arXiv:1812.06127, section 3.2; there
             an update counts whatever its steps.
    """
    budget_s = _budget_s(recipe)
    if budget_s is None:
        return {}
    after = dict(before)
    for site, steps in asked.items():
        if site in wall_s:
            after[site] = max(wall_s[site], 1e-6) / steps
        else:
            after[site] = 2 * max(before.get(site, 0.0), budget_s / steps)
    return after


def _budget_s(recipe: Recipe) -> float | None:
    share = recipe.federation.step_budget
    return None if share is None else share * recipe.federation.round_deadline_s
