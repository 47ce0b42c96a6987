from __future__ import annotations

import numpy as np
import torch

from common.learning.networks.site_head import build_site_head


def test_the_head_has_three_layers_of_256_128_and_one_logit_a_site() -> None:
    head = build_site_head(n_features=12, n_sites=5, seed=0)
    # 12 * 256 + 256, 256 * 128 + 128, 128 * 5 + 5
    assert sum(p.numel() for p in head.parameters()) == 3328 + 32896 + 645
    assert head(torch.zeros(3, 12, 2, 1, 4)).shape == (3, 5)


def test_the_head_sees_the_mean_over_space_only() -> None:
    head = build_site_head(n_features=2, n_sites=3, seed=0)
    bottleneck = torch.randn(1, 2, 2, 2, 2, generator=torch.Generator().manual_seed(0))
    here = head(bottleneck).detach()
    np.testing.assert_allclose(here, head(bottleneck.flip(2, 4)).detach(), rtol=1e-5)
    mean = bottleneck.mean(dim=(2, 3, 4), keepdim=True)
    np.testing.assert_allclose(here, head(mean).detach(), rtol=1e-5)


def test_a_bottleneck_without_space_is_taken_as_it_is() -> None:
    head = build_site_head(n_features=4, n_sites=3, seed=0)
    features = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    here = head(features).detach()
    assert here.shape == (5, 3)
    np.testing.assert_allclose(here, head(features[:, :, None]).detach(), rtol=1e-5)
    np.testing.assert_allclose(here, head.layers(features).detach())


def test_same_seed_same_head_and_the_global_random_numbers_stay() -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    first = build_site_head(n_features=4, n_sites=2, seed=1).state_dict()
    again = build_site_head(n_features=4, n_sites=2, seed=1).state_dict()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
