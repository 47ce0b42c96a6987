from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from client.phases.own_norms import OwnNorms
from client.site.settings import Site
from common.errors import SiteDataError
from common.learning.networks.parameters import norm_names
from common.wire.messages import Assignment

ASSIGNMENT = Assignment(
    run="r",
    phase="training",
    round_index=1,
    recipe="{}",
    code_digest="c",
    site="lyon",
    site_index=0,
    n_sites=2,
    exchange_id="0" * 32,
)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(name="lyon", data=tmp_path / "bids", work=tmp_path / "work")


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv3d(1, 2, 1), nn.BatchNorm3d(2), nn.GroupNorm(1, 2))


def of(round_index: int) -> Assignment:
    return dataclasses.replace(ASSIGNMENT, round_index=round_index)


def test_norms_of_every_kind_are_named_and_nothing_else() -> None:
    named = [nn.BatchNorm3d(2), nn.GroupNorm(1, 2), nn.InstanceNorm3d(2, affine=True)]
    assert norm_names(nn.Sequential(nn.Conv3d(1, 2, 1), *named)) == (
        "1.weight",
        "1.bias",
        "1.running_mean",
        "1.running_var",
        "1.num_batches_tracked",
        "2.weight",
        "2.bias",
        "3.weight",
        "3.bias",
    )


def test_a_site_goes_on_with_its_own_norms_and_with_the_received_other_parameters(
    site: Site,
) -> None:
    trained = network()
    first = OwnNorms(trained, of(1), site)
    assert not first.were_kept
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.fill_(3.0)
        trained.get_buffer("1.running_mean").fill_(-2.0)
    first.keep(trained)
    received = network()
    convolution = received.get_parameter("0.weight").clone()
    assert OwnNorms(received, of(2), site).were_kept
    assert torch.equal(received.get_parameter("0.weight"), convolution)
    for name in ("1.weight", "1.bias", "2.weight", "2.bias"):
        assert (received.get_parameter(name) == 3).all()
    assert (received.get_buffer("1.running_mean") == -2).all()


def test_norms_that_are_not_finite_or_of_another_network_are_not_gone_on_with(site: Site) -> None:
    trained = network()
    first = OwnNorms(trained, of(1), site)
    with torch.no_grad():
        trained.get_parameter("2.bias").fill_(np.nan)
    first.keep(trained)
    assert not OwnNorms(network(), of(2), site).were_kept
    with torch.no_grad():
        trained.get_parameter("2.bias").fill_(0.5)
    first.keep(trained)
    other = nn.Sequential(nn.Conv3d(1, 3, 1), nn.BatchNorm3d(3), nn.GroupNorm(1, 3))
    with pytest.raises(SiteDataError, match=r"work/norms: parameters do not fit .* Remove that"):
        OwnNorms(other, of(2), site)


def test_a_network_without_norms_is_refused(site: Site) -> None:
    with pytest.raises(SiteDataError, match="the recipe's network has none"):
        OwnNorms(nn.Sequential(nn.Conv3d(1, 2, 1)), of(1), site)
