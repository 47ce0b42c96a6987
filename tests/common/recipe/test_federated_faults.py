from __future__ import annotations

import pytest

from common.errors import ConfigError
from common.recipe.recipe import load_recipe

SCAFFOLD = (
    "federation.drift=scaffold",
    "federation.weighting=equal",
    "optimizer.name=sgd",
    "optimizer.state=reset",
)


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        (
            (
                "federation.proximal=0.1",
                'loss.site={name="uniform", weight=0.1, proximal=0.1}',
            ),
            "pulls the encoder again; set one of the two to 0",
        ),
        (("optimizer.name=sgd", "optimizer.state=kept"), "'sgd' remembers nothing"),
        (
            ("federation.weighting=validation", "federation.aggregation=median"),
            "'median' has no weights",
        ),
        (
            (
                "federation.weighting=validation",
                "federation.site_validation_share=0",
                "inference.threshold_from=fixed",
            ),
            "site_validation_share = 0 keeps none",
        ),
        (
            ("federation.norms=local", "federation.late_weight=0.5"),
            "late_weight = 0.5 adds a late update to newer parameters .*norms 'local'",
        ),
        ((*SCAFFOLD, "optimizer.name=adam"), "wants optimizer.name = 'sgd'"),
        ((*SCAFFOLD, "federation.weighting=cases"), "wants federation.weighting = 'equal'"),
        ((*SCAFFOLD, "federation.aggregation=median"), "wants federation.aggregation"),
        ((*SCAFFOLD, "federation.norms=local"), "wants federation.norms = 'averaged'"),
        ((*SCAFFOLD, "federation.late_weight=0.5"), "wants federation.late_weight = 0.0"),
        ((*SCAFFOLD, "federation.step_budget=0.5"), "wants federation.step_budget = None"),
        (('federation.server_optimizer={name="adagrad"}',), "server_optimizer"),
        (('federation.server_optimizer={name="momentum", tau=0.1}',), "tau"),
        (("federation.proximal=-1",), "federation.proximal"),
    ],
)
def test_what_cannot_work_is_refused_when_the_recipe_is_read(
    overrides: tuple[str, ...], text: str
) -> None:
    with pytest.raises(ConfigError, match=text):
        load_recipe("default", overrides=overrides)


def test_the_options_go_with_the_default_recipe() -> None:
    assert load_recipe("default", overrides=SCAFFOLD).federation.drift == "scaffold"
    together = load_recipe(
        "default",
        overrides=[
            'federation.server_optimizer={name="adam"}',
            "federation.norms=local",
            "federation.proximal=0.01",
            "federation.weighting=validation",
        ],
    )
    assert together.federation.server_optimizer.name == "adam"
