from __future__ import annotations

import pytest
import torch

from common.errors import ConfigError
from common.learning.lesion_wise.metric_network import build_metric_network, lesion_f1_of
from common.recipe.loss import LesionWise

SETTINGS = LesionWise(
    weight=0.2, widths=(4, 6, 8), n_pairs=20, steps=2, batch_size=4, learning_rate=0.01
)


@pytest.mark.parametrize("widths", [(4, 6), (4, 6, 8), (4, 6, 8, 8)])
def test_any_patch_that_can_be_halved_gives_an_estimate_in_0_to_1(widths: tuple[int, ...]) -> None:
    settings = SETTINGS.model_copy(update={"widths": widths})
    network = build_metric_network(settings, patch_shape=(32, 16, 48), seed=3).eval()
    pairs = torch.rand(3, 2, 32, 16, 48, generator=torch.Generator().manual_seed(0))
    estimates = network(pairs)
    assert estimates.shape == (3,)
    assert ((estimates >= 0) & (estimates <= 1)).all()
    assert network.events_in_cells(pairs).shape == (3, 4, 8, 4, 12)


def test_a_patch_that_cannot_be_halved_as_often_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"\(32, 32, 36\).*three multiples of 8"):
        build_metric_network(SETTINGS, patch_shape=(32, 32, 36), seed=0)


def test_the_seed_decides_the_kernels_and_leaves_torchs_random_numbers_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    one, same, other = (
        build_metric_network(SETTINGS, patch_shape=(16, 16, 16), seed=seed) for seed in (5, 5, 6)
    )
    assert torch.equal(torch.rand(1), expected)
    first = "finest.0.0.weight"
    assert torch.equal(one.state_dict()[first], same.state_dict()[first])
    assert not torch.equal(one.state_dict()[first], other.state_dict()[first])


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        pytest.param((0, 0, 0, 0), 1.0, id="both empty: 0.05 / 0.05 twice"),
        # LTPR 2.05 / 3.05, LPPV 2.05 / 4.05: 2 * 2.05 / (3.05 + 4.05)
        pytest.param((2, 1, 2, 2), 4.1 / 7.1, id="2 of 3 found, 2 false"),
        # LTPR 0.05 / 0.05 = 1, LPPV 0.05 / 3.05: 2 * 0.05 / (0.05 + 3.05)
        pytest.param((0, 0, 0, 3), 0.1 / 3.1, id="no reference, 3 false"),
    ],
)
def test_lesion_f1_of_counts_worked_by_hand(counts: tuple[float, ...], expected: float) -> None:
    assert lesion_f1_of(torch.tensor([counts])).item() == pytest.approx(expected)


def test_a_patch_split_in_places_keeps_every_voxel() -> None:
    network = build_metric_network(SETTINGS, patch_shape=(8, 8, 8), seed=0).double().eval()
    pairs = torch.rand(
        1, 2, 8, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    ).requires_grad_()
    network(pairs).sum().backward()
    assert pairs.grad is not None
    assert (pairs.grad != 0).all()
