from __future__ import annotations

import numpy as np
import pytest

from common.arrays import Float32Array
from common.learning.hard_negatives import hard_negatives, random_negatives
from common.recipe.network import CascadeSettings
from tests.patch_networks import BrainCase, sees_bright_voxels

SHAPE = (2, 3, 40)
SETTINGS = CascadeSettings(name="cascade")  # candidates z > 0.5, p > 0.5, fallback z > 2


def along_k(**flair: float) -> Float32Array:
    """FLAIR z at (1, 2, k), 0 elsewhere; `k3=1.5` sets k = 3."""
    image = np.zeros((1, *SHAPE), np.float32)
    for name, value in flair.items():
        image[0, 1, 2, int(name.removeprefix("k"))] = value
    return image


def case(image: Float32Array, *, lesion_at: int = 20) -> BrainCase:
    brain = np.ones(SHAPE, bool)
    brain[..., 39] = False
    lesions = np.zeros(SHAPE, bool)
    lesions[1, 2, lesion_at] = True
    return BrainCase(image, brain, lesions)


def flat(*ks: int) -> list[int]:
    return [1 * 3 * 40 + 2 * 40 + k for k in ks]  # (1, 2, k) in a volume of 2 x 3 x 40


def test_random_negatives_are_bright_brain_without_lesion() -> None:
    image = along_k(k3=1.5, k9=0.5, k20=3, k30=0.6, k39=2)
    # 9 is not above 0.5, 20 is a lesion, 39 is no brain
    assert random_negatives(case(image), above=0.5).tolist() == flat(3, 30)


def test_hard_negatives_are_what_the_first_network_takes_for_a_lesion() -> None:
    image = along_k(k3=1.5, k20=3, k30=0.6)
    first = sees_bright_voxels(n_channels=1, logit=1.0, bias=-1.0)
    # logits 0.5 at k = 3 and -0.4 at k = 30: p = 0.62 and 0.40; k = 20 is a lesion
    assert hard_negatives(first, case(image), SETTINGS).tolist() == flat(3)


@pytest.mark.parametrize(
    ("brightest", "expected"),
    [
        pytest.param(2.5, [30], id="the voxel above z = 2"),
        pytest.param(1.9, [3, 30], id="none above z = 2: every candidate without lesion"),
    ],
)
def test_a_first_network_without_mistakes_leaves_the_brightest_voxels(
    brightest: float, expected: list[int]
) -> None:
    image = along_k(k3=0.7, k20=3, k30=brightest)
    first = sees_bright_voxels(n_channels=1, logit=0.0, bias=-1.0)  # p = 0.27 everywhere
    assert hard_negatives(first, case(image), SETTINGS).tolist() == flat(*expected)


def test_without_a_reference_nothing_is_known_to_be_negative() -> None:
    unlabelled = BrainCase(along_k(k3=3), np.ones(SHAPE, bool), None)
    first = sees_bright_voxels(n_channels=1, logit=1.0, bias=0.0)
    assert random_negatives(unlabelled, above=0.5).size == 0
    assert hard_negatives(first, unlabelled, SETTINGS).size == 0
