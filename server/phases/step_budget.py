"""How many steps a slow site is asked for, so that it sends less work instead of none."""

from __future__ import annotations

from collections.abc import Mapping

from common.recipe.recipe import Recipe


def steps_within(step_seconds: float | None, recipe: Recipe) -> int:
    """The steps to ask a site for: the recipe's, or what fits in its share of the deadline.

    step_seconds   estimated cost of one step there; None where the site has not trained yet

    At least 1, at most the recipe's; the recipe's where it sets no budget.
    """
    budget_s = _budget_s(recipe)
    if budget_s is None or step_seconds is None:
        return recipe.optimizer.steps
    return max(1, int(min(recipe.optimizer.steps, budget_s / step_seconds)))


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
