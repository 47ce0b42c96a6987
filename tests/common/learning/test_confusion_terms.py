from __future__ import annotations

import numpy as np
import pytest
import torch

from common.learning.confusion_terms import HarmonyTerm, gaussian_sample
from common.learning.drawn_alike import DrawnAlike
from common.learning.networks.site_head import build_site_head
from common.wire.feature_summary import FeatureSummary, KnownFeatures


def summary(mean: float, variance: float) -> FeatureSummary:
    return FeatureSummary(mean=(mean, -mean), variance=(variance, 4 * variance))


def test_samples_have_the_summary_s_mean_and_variance() -> None:
    drawn = gaussian_sample(summary(3, 2), 20_000, torch.Generator().manual_seed(0))
    # standard errors 0.01, 0.02 of the means, and about 1 % of the variances
    np.testing.assert_allclose(drawn.mean(dim=0), [3, -3], atol=0.1)
    np.testing.assert_allclose(drawn.var(dim=0), [2, 8], rtol=0.05)


def test_a_head_trained_at_a_site_learns_its_own_index_from_the_others_gaussians() -> None:
    """Own features about (2, -2) are site 1; those about (-2, 2) are, by the summary, site 0."""
    head = build_site_head(n_features=2, n_sites=3, seed=0)
    own = torch.tensor([[2.0, -2.0]]) + 0.1 * torch.randn(
        8, 2, generator=torch.Generator().manual_seed(1)
    )
    sites = torch.ones(8, dtype=torch.int64)
    alike = DrawnAlike(own, sites, {1: summary(2, 0.01)})
    known = KnownFeatures(sites=(0, 1), others={0: summary(-2, 0.01)})
    optimizer = torch.optim.Adam(head.parameters(), lr=0.01)
    term = HarmonyTerm(head, alike, known, own=[1], optimizer=optimizer, seed=0)
    features = own.clone().requires_grad_()
    losses = [term.loss(features, sites) for _ in range(100)]
    assert features.grad is None  # the head's steps leave the encoder alone
    probability = torch.softmax(head(torch.tensor([[2.0, -2.0], [-2.0, 2.0]])), dim=1)
    # labels are smoothed by 0.1 over three sites: the best answer is 0.933
    assert probability[0, 1] > 0.9
    assert probability[1, 0] > 0.9
    # of the two known sites: -(log(0.966) + log(0.034)) / 2 = 1.70, far from log(2)
    assert float(losses[-1].detach()) == pytest.approx(1.70, abs=0.1)


def test_a_head_trained_at_a_site_does_not_grow_surer_for_ever() -> None:
    """Sites that lie apart are told without an error, and yet the confusion stays where it was."""
    generator = torch.Generator().manual_seed(1)
    apart = {i: FeatureSummary(mean=(float(i),) * 32, variance=(1.0,) * 32) for i in range(3)}
    own = torch.randn(32, 32, generator=generator)
    alike = DrawnAlike(own, torch.zeros(32, dtype=torch.int64), {0: apart[0]})
    known = KnownFeatures(sites=(0, 1, 2), others={1: apart[1], 2: apart[2]})
    head = build_site_head(n_features=32, n_sites=3, seed=0)
    optimizer = torch.optim.Adam(head.parameters(), lr=5e-3)
    term = HarmonyTerm(head, alike, known, own=[0], optimizer=optimizer, seed=0)
    of_steps = [
        term.loss(torch.randn(8, 32, generator=generator), torch.zeros(8, dtype=torch.int64)).item()
        for _ in range(300)
    ]
    # of a label smoothed by 0.1 it is -(log(0.933) + 2 log(0.033)) / 3 = 2.29
    assert 2 < np.mean(of_steps[-50:]) < 3
