from __future__ import annotations

import numpy as np
import pytest
import torch

from common.arrays import BoolArray, Float32Array
from common.learning.cascade_segmentation import candidates, cascade_probability
from common.learning.networks.cascade import Cascade, PatchCNN
from common.recipe.network import CascadeSettings
from tests.patch_networks import sees_bright_voxels

SHAPE = (30, 3, 4)
SETTINGS = CascadeSettings(name="cascade", candidates_above=0.5, second_above=0.6)


def flair_and_t1w() -> tuple[Float32Array, BoolArray]:
    """Voxels of 1 and 2 far apart, one of 0.5, one of 2 outside the brain; the T1w is bright."""
    flair = np.zeros(SHAPE, np.float32)
    flair[4, 1, 1], flair[24, 1, 2], flair[14, 1, 1], flair[29, 2, 3] = 1, 2, 0.5, 2
    brain = np.ones(SHAPE, bool)
    brain[29] = False
    return np.stack([flair, np.full(SHAPE, 9, np.float32)]), brain


def cascade_of(first: PatchCNN, second: PatchCNN) -> Cascade:
    cascade = Cascade(CascadeSettings(name="cascade"), n_channels=2)
    cascade.first, cascade.second = first, second
    return cascade


def sigmoid(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


def test_candidates_are_brain_and_brighter_than_the_bound_in_flair() -> None:
    image, brain = flair_and_t1w()
    # 0.5 is not above 0.5, and the last one is no brain
    found = np.argwhere(candidates(image, brain, above=0.5))
    assert found.tolist() == [[4, 1, 1], [24, 1, 2]]


def test_the_first_stage_gives_the_first_network_at_candidates_and_0_elsewhere() -> None:
    image, brain = flair_and_t1w()
    first = sees_bright_voxels(n_channels=2, logit=1.0, bias=-0.8)
    second = sees_bright_voxels(n_channels=2, logit=0.0, bias=3.0)
    found = cascade_probability(cascade_of(first, second), image, brain, SETTINGS, stage="first")
    expected = np.zeros(SHAPE)
    expected[4, 1, 1] = sigmoid(1 - 0.8)
    # the patch of (24, 1, 2) reaches 2 after its centre: (29, 2, 3), 5 after, is not seen
    expected[24, 1, 2] = sigmoid(2 - 0.8)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_second_stage_asks_the_second_network_where_the_first_is_sure() -> None:
    image, brain = flair_and_t1w()
    # sigmoid(0.2) = 0.55 is not above 0.6, sigmoid(1.2) = 0.77 is
    first = sees_bright_voxels(n_channels=2, logit=1.0, bias=-0.8)
    second = sees_bright_voxels(n_channels=2, logit=-1.0, bias=0.5)
    found = cascade_probability(cascade_of(first, second), image, brain, SETTINGS, stage="second")
    expected = np.zeros(SHAPE)
    expected[24, 1, 2] = sigmoid(0.5 - 2)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("stage", ["first", "second"])
def test_a_brain_without_candidates_has_no_lesion(stage: str) -> None:
    image, brain = flair_and_t1w()
    network = sees_bright_voxels(n_channels=2, logit=1.0, bias=1.0)
    cascade = cascade_of(network, network)
    dark = cascade_probability(
        cascade, image - 9, brain, SETTINGS, stage="first" if stage == "first" else "second"
    )
    assert not dark.any()


def test_the_result_does_not_depend_on_the_stage_or_mode_of_training() -> None:
    image, brain = flair_and_t1w()
    torch.manual_seed(0)
    cascade = Cascade(CascadeSettings(name="cascade"), n_channels=2).eval()
    before = cascade_probability(cascade, image, brain, SETTINGS, stage="first")
    cascade.stage = "second"
    cascade.train()
    again = cascade_probability(cascade, image, brain, SETTINGS, stage="first")
    np.testing.assert_array_equal(before, again)
    assert cascade.stage == "second"


def test_a_first_network_that_diverged_is_not_taken_for_a_brain_without_lesions() -> None:
    image, brain = flair_and_t1w()
    first = sees_bright_voxels(n_channels=2, logit=float("nan"), bias=0.0)
    second = sees_bright_voxels(n_channels=2, logit=0.0, bias=0.0)
    found = cascade_probability(cascade_of(first, second), image, brain, SETTINGS, stage="second")
    assert np.argwhere(np.isnan(found)).tolist() == [[4, 1, 1], [24, 1, 2]]
