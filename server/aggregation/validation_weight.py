"""Weights by how badly the network does on the cases that sites keep for validation."""

from __future__ import annotations

from collections.abc import Mapping

LEAST, MOST = 0.5, 2.0
"""A site counts at most four times as much as another, whatever it sends."""


def validation_weight(site: str, validation_dice: Mapping[str, float]) -> float:
    """How much a site counts: (1 - Dice) there over its mean over the sites, from 1/2 to 2.

    validation_dice   site -> mean Dice, on its own validation cases, of the parameters that the
                      round before began with; a site that has sent none counts 1, as the mean does

    Source   ours after Liu et al. 2023, Front Neurosci 17:1167612, where each site's weight is
             learned from how it segments. Chosen: this formula, the bounds, and the figures of the
             round before, so that an update can be added as soon as it comes.
    """
    lacking = {name: 1 - dice for name, dice in sorted(validation_dice.items())}
    mean = sum(lacking.values()) / len(lacking) if lacking else 0.0
    if site not in lacking or mean <= 0:
        return 1.0
    return min(MOST, max(LEAST, lacking[site] / mean))
