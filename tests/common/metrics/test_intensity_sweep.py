from __future__ import annotations

import numpy as np

from common.metrics.intensity_sweep import dice_by_threshold


def test_dice_is_that_of_the_brain_voxels_strictly_above_each_threshold() -> None:
    image = np.array([[[1.0, 2.0, 3.0, 4.0, 9.0]]])
    brain = np.array([[[True, True, True, True, False]]])
    lesions = np.array([[[False, False, True, True, False]]])
    # above 0: 4 found, 2 right, 2 in the reference; above 2: 2 and 2; above 3: 1 and 1; above 4: 0
    expected = [2 * 2 / (4 + 2), 2 * 2 / (2 + 2), 2 * 1 / (1 + 2), 0]
    np.testing.assert_allclose(dice_by_threshold(image, brain, lesions, [0, 2, 3, 4]), expected)


def test_a_lesion_voxel_outside_the_brain_counts_as_missed() -> None:
    image = np.array([[[5.0, 5.0]]])
    brain = np.array([[[True, False]]])
    lesions = np.array([[[True, True]]])
    # 1 found, 1 right, 2 in the reference
    np.testing.assert_allclose(dice_by_threshold(image, brain, lesions, [1]), [2 / 3])
