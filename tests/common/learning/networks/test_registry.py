from __future__ import annotations

import pytest
import torch
from pydantic import TypeAdapter

from common.learning.networks.cascade import Cascade
from common.learning.networks.registry import NETWORKS, build_network
from common.learning.networks.siamese_mpu_net import SiameseMPUNet
from common.learning.networks.unet import UNet
from common.recipe.network import Network

SETTINGS: TypeAdapter[Network] = TypeAdapter(Network)
TINY: dict[str, Network] = {
    "unet": SETTINGS.validate_python({"name": "unet", "widths": [2, 2, 3, 3, 4], "norm": "group"}),
    "cascade": SETTINGS.validate_python({"name": "cascade"}),
    "siamese-mpu-net": SETTINGS.validate_python({"name": "siamese-mpu-net", "features": 2}),
}


@pytest.mark.parametrize(
    ("name", "kind", "n_outputs", "patch", "answer"),
    [
        pytest.param("unet", UNet, 3, (16, 32, 16), (3, 16, 32, 16), id="unet"),
        pytest.param("cascade", Cascade, 1, (11, 11, 11), (1,), id="cascade"),
        pytest.param("siamese-mpu-net", SiameseMPUNet, 3, (8, 16, 8), (3, 8, 16, 8), id="siamese"),
    ],
)
def test_every_network_answers_with_logits_and_a_bottleneck_as_wide_as_it_says(
    name: str, kind: type, n_outputs: int, patch: tuple[int, ...], answer: tuple[int, ...]
) -> None:
    network = build_network(TINY[name], n_channels=4, n_outputs=n_outputs, seed=0)
    assert isinstance(network, kind)
    images = torch.randn(2, 4, *patch, generator=torch.Generator().manual_seed(0))
    logits, bottleneck = network(images)
    assert logits.shape == (2, *answer)
    assert bottleneck.shape[:2] == (2, network.n_bottleneck)
    assert logits.isfinite().all()


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_the_seed_alone_decides_and_the_global_random_numbers_stay(name: str) -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    first, again, other = (
        build_network(TINY[name], n_channels=2, n_outputs=1, seed=seed).state_dict()
        for seed in (7, 7, 8)
    )
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)
