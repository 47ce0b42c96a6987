from __future__ import annotations

import numpy as np
import pytest
import torch

from common.errors import UpdateRejected
from common.learning.confusion_terms import gaussian_sample
from common.learning.losses.site_loss import confusion
from common.learning.model import HEAD, part
from common.learning.networks.parameters import load_parameters, parameters_of
from common.learning.networks.site_head import build_site_head
from common.recipe.loss import SiteLoss
from common.wire.feature_summary import FeatureSummary
from common.wire.field_types import Arrays
from server.phases.site_features import head_after, known_features, require_summaries


def summary(mean: float) -> FeatureSummary:
    """Two features, with scales that differ by a thousand."""
    return FeatureSummary(mean=(mean, 1000.0), variance=(0.04, 90_000.0))


FEATURES = {0: summary(-1), 2: summary(0), 3: summary(1)}
"""Of three of four sites: site 1 has sent none."""


def settings(name: str) -> SiteLoss:
    return SiteLoss.from_table({"name": name, "weight": 1.0, "ramp_rounds": 1}, where="test")


def run_parameters() -> Arrays:
    head = build_site_head(n_features=2, n_sites=4, seed=0)
    arrays = {HEAD + name: array for name, array in parameters_of(head).items()}
    return {"network.w": np.zeros(3, np.float32), **arrays}


def test_the_coordinator_s_head_learns_the_sites_from_their_summaries_alone() -> None:
    arrays = head_after(run_parameters(), FEATURES, settings("fed_confusion"), n_sites=4, seed=1)
    assert arrays.keys() == run_parameters().keys() - {"network.w"}
    head = build_site_head(n_features=2, n_sites=4, seed=9)
    load_parameters(head, part(arrays, HEAD))
    generator = torch.Generator().manual_seed(7)
    for index, of_site in FEATURES.items():
        found = head(gaussian_sample(of_site, 200, generator)).argmax(dim=1)
        # five deviations apart: nearly all are told apart; site 1 is never named
        assert (found == index).float().mean() > 0.9
        assert not (found == 1).any()


def heads_of_rounds(of_each: dict[int, FeatureSummary], n_rounds: int) -> list[torch.nn.Module]:
    """The coordinator's head for three sites after each round, the summaries always the same."""
    n_features = len(of_each[0].mean)
    head = build_site_head(n_features=n_features, n_sites=3, seed=0)
    arrays: Arrays = {HEAD + name: array for name, array in parameters_of(head).items()}
    heads: list[torch.nn.Module] = []
    for seed in range(n_rounds):
        arrays = head_after(arrays, of_each, settings("fed_confusion"), n_sites=3, seed=seed)
        heads.append(build_site_head(n_features=n_features, n_sites=3, seed=0))
        load_parameters(heads[-1], part(arrays, HEAD))
    return heads


def held_out(distance: float, *, correlation: float) -> tuple[torch.Tensor, torch.Tensor]:
    """300 samples of each of three sites in 32 features of deviation 1, and their sites."""
    generator = torch.Generator().manual_seed(7)
    labels = torch.arange(3).repeat_interleave(300)
    own = torch.randn(900, 32, generator=generator)
    shared = torch.randn(900, 1, generator=generator)
    noise = (1 - correlation) ** 0.5 * own + correlation**0.5 * shared
    return distance * labels[:, None] + noise, labels


def three_sites(distance: float) -> dict[int, FeatureSummary]:
    return {i: FeatureSummary(mean=(distance * i,) * 32, variance=(1.0,) * 32) for i in range(3)}


@pytest.mark.parametrize("distance", [0.3, 5.0])
def test_the_head_is_as_sure_as_it_is_right_and_no_surer_after_more_rounds(distance: float) -> None:
    features, labels = held_out(distance, correlation=0)
    features.requires_grad_()
    lengths = []
    for head in heads_of_rounds(three_sites(distance), 4):
        logits = head(features)
        right = (logits.argmax(dim=1) == labels).float().mean()
        sure = torch.softmax(logits, dim=1).amax(dim=1).mean()
        assert right - 0.15 < sure < right + 0.02
        loss = confusion(logits, torch.arange(3))
        # of a label smoothed by 0.1 it is -(log(0.933) + 2 log(0.033)) / 3 = 2.29
        assert loss < 2.6
        lengths.append(float(torch.autograd.grad(loss, features)[0].norm()))
    assert lengths[-1] < lengths[0]


def test_the_head_is_no_worse_than_chance_where_features_correlate() -> None:
    # the summaries have no covariances: 32 features that err together count as 32 witnesses
    features, labels = held_out(1.0, correlation=0.5)
    logits = heads_of_rounds(three_sites(1.0), 4)[-1](features)
    assert torch.nn.functional.cross_entropy(logits, labels) < np.log(3)


def test_the_same_round_gives_the_same_head_and_the_order_of_arrival_does_not_count() -> None:
    backwards = dict(reversed(FEATURES.items()))
    first, again = (
        head_after(run_parameters(), of, settings("fed_confusion"), n_sites=4, seed=1)
        for of in (FEATURES, backwards)
    )
    for name, array in first.items():
        assert array.tobytes() == again[name].tobytes()


def test_fedharmony_s_head_only_gets_the_scale_of_the_features() -> None:
    before = run_parameters()
    arrays = head_after(before, FEATURES, settings("fedharmony"), n_sites=4, seed=1)
    changed = {name for name in arrays if not np.array_equal(arrays[name], before[name])}
    assert changed == {"head.centre", "head.deviation"}
    np.testing.assert_allclose(arrays["head.centre"], [0, 1000])
    # 0.04 within and 2/3 between, plus a thousandth of the mean variance of 45,000
    variance = [0.04 + 2 / 3 + 45.0, 90_000 + 45.0]
    np.testing.assert_allclose(arrays["head.deviation"], np.sqrt(variance), rtol=1e-4)


@pytest.mark.parametrize("name", ["uniform", "none", "moment_align", "fed_confusion"])
def test_a_head_stays_where_it_needs_no_summary_or_one_site_alone_has_sent_any(name: str) -> None:
    few = {0: summary(1)} if name == "fed_confusion" else FEATURES
    assert head_after(run_parameters(), few, settings(name), n_sites=4, seed=1) == {}


def test_a_site_is_told_what_its_loss_needs_and_no_more() -> None:
    told = {n: known_features(FEATURES, settings(n), site_index=2) for n in
            ("fed_confusion", "fedharmony", "moment_align")}  # fmt: skip
    assert all(known is not None and known.sites == (0, 2, 3) for known in told.values())
    confusion, harmony, moments = (known for known in told.values() if known is not None)
    assert (confusion.pooled, confusion.others) == (None, {})
    assert harmony.others == {0: FEATURES[0], 3: FEATURES[3]}
    assert harmony.pooled is None
    assert moments.others == {}
    assert moments.pooled is not None
    assert moments.pooled.variance == pytest.approx((0.04 + 2 / 3, 90_000.0))
    assert known_features({0: summary(1)}, settings("fedharmony"), site_index=1) is None


def test_a_summary_of_another_site_or_another_length_is_refused_by_name() -> None:
    with pytest.raises(
        UpdateRejected, match=r"site lyon: .* said to be of sites \[3\]; want \[1\]"
    ):
        require_summaries("lyon", {1: summary(0), 3: summary(0)}, allowed={1}, n_features=2)
    with pytest.raises(UpdateRejected, match=r"site lyon: .* 2 means and 2 variances, want 5"):
        require_summaries("lyon", {1: summary(0)}, allowed={1}, n_features=5)
    require_summaries("lyon", {1: summary(0)}, allowed={1}, n_features=2)
