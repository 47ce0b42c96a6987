from __future__ import annotations

from typing import Any

import pytest

from common.errors import ConfigError
from common.recipe.loss import SiteLoss
from common.recipe.recipe import load_recipe


def settings(name: str, **changed: Any) -> SiteLoss:
    return SiteLoss.from_table({"name": name, "weight": 0.6} | changed, where="test")


@pytest.mark.parametrize(
    ("ramp_rounds", "weights"),
    [
        pytest.param(0, [0.6, 0.6, 0.6, 0.6], id="no ramp"),
        pytest.param(1, [0.0, 0.6, 0.6, 0.6], id="(r - 1) / 1"),
        pytest.param(3, [0.0, 0.2, 0.4, 0.6], id="(r - 1) / 3"),
    ],
)
def test_the_weight_rises_over_the_rounds(ramp_rounds: int, weights: list[float]) -> None:
    loss = settings("uniform", ramp_rounds=ramp_rounds)
    assert [loss.weight_in(r) for r in (1, 2, 3, 4)] == pytest.approx(weights)
    assert loss.weight_in(50) == 0.6


@pytest.mark.parametrize("name", ["fed_confusion", "fedharmony", "moment_align"])
def test_a_loss_that_waits_for_summaries_cannot_begin_in_the_first_round(name: str) -> None:
    with pytest.raises(
        ConfigError, match="ramp_rounds = 0 begins with the first; want ramp_rounds"
    ):
        settings(name)
    assert settings(name, ramp_rounds=1).needs_summaries


def test_a_pull_without_a_site_loss_is_refused_for_nothing_would_pull() -> None:
    with pytest.raises(ConfigError, match=r"proximal = 0.1 pulls .* nothing would pull"):
        settings("none", proximal=0.1)
    assert settings("none").proximal == 0


@pytest.mark.parametrize("odd", [{"gradient_bound": 0}, {"proximal": -1}, {"ramp_rounds": -1}])
def test_settings_out_of_range_are_refused(odd: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(odd))):
        settings("uniform", **odd)


def test_the_published_variants_have_neither_ramp_nor_bound_and_ours_have_both() -> None:
    for variant in ("pearson", "random", "uniform"):
        loss = load_recipe("aslani2020", variant=variant).loss.site
        assert (loss.ramp_rounds, loss.gradient_bound, loss.proximal) == (0, None, 0)
    for variant in ("fed_confusion", "fedharmony", "moment_align"):
        loss = load_recipe("aslani2020", variant=variant).loss.site
        assert loss.name == variant
        assert loss.ramp_rounds > 0
        assert loss.gradient_bound is not None
    harmony = load_recipe("aslani2020", variant="fedharmony")
    assert harmony.loss.site.proximal == 0.1
    assert harmony.federation.weighting == "equal"
