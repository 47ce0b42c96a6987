"""What the options of a federation cannot go with."""

from __future__ import annotations

from collections.abc import Iterator

from common.recipe.federation import Federation, Optimizer
from common.recipe.loss import SiteLoss


def federated_faults(
    federation: Federation, optimizer: Optimizer, site_loss: SiteLoss
) -> Iterator[str]:
    """A sentence for each combination of these settings that cannot work."""
    if federation.proximal and site_loss.proximal:
        yield (
            "federation.proximal pulls all that a site trains, the encoder too, and "
            "loss.site.proximal pulls the encoder again; set one of the two to 0"
        )
    if optimizer.name == "sgd" and optimizer.state != "reset":
        yield (
            f"optimizer.state {optimizer.state!r} keeps what an optimizer remembers, and 'sgd' "
            "remembers nothing; set optimizer.state to reset"
        )
    if federation.weighting == "validation":
        if federation.aggregation != "weighted-mean":
            yield (
                "federation.weighting 'validation' weighs updates, and federation.aggregation "
                f"{federation.aggregation!r} has no weights; set aggregation to weighted-mean, or "
                "choose another weighting"
            )
        if federation.site_validation_share == 0:
            yield (
                "federation.weighting 'validation' looks at the cases that sites keep for "
                "validation, and federation.site_validation_share = 0 keeps none; raise the share, "
                "or choose another weighting"
            )
    if federation.norms == "local" and federation.late_weight:
        yield (
            f"federation.late_weight = {federation.late_weight:g} adds a late update to newer "
            "parameters than it was made from, and federation.norms 'local' sends the difference "
            "of a site's own norms from the received ones; late_weight must be 0, or norms averaged"
        )
    if federation.drift == "scaffold":
        yield from _scaffold(federation, optimizer)


def _scaffold(federation: Federation, optimizer: Optimizer) -> Iterator[str]:
    wanted = {
        "optimizer.name": (optimizer.name, "sgd", "its variates are mean gradients"),
        "federation.weighting": (federation.weighting, "equal", "the sites' variates count alike"),
        "federation.aggregation": (
            federation.aggregation,
            "weighted-mean",
            "corrections cancel in a mean alone",
        ),
        "federation.norms": (
            federation.norms,
            "averaged",
            "the sites' variates are of one set of parameters",
        ),
        "federation.late_weight": (
            federation.late_weight,
            0.0,
            "the variates of a late update are of older parameters",
        ),
        "federation.step_budget": (
            federation.step_budget,
            None,
            "the update of a site with fewer steps counts less",
        ),
    }
    for key, (found, want, why) in wanted.items():
        if found != want:
            yield (
                f"federation.drift 'scaffold' wants {key} = {want!r} ({why}), got {found!r}. Set "
                "it, or set federation.drift to 'none'"
            )
