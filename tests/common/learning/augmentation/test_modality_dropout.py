from __future__ import annotations

import numpy as np

from common.learning.augmentation.modality_dropout import with_modalities_missing


def test_the_first_modality_stays_and_each_other_is_missing_in_a_quarter() -> None:
    images = np.ones((3, 2, 2, 3), np.float32)
    lesions = np.zeros((1, 2, 2, 3), bool)
    random = np.random.default_rng(0)
    missing = np.zeros(3)
    for _ in range(800):
        found, moved = with_modalities_missing(images, lesions, random)
        assert moved is lesions
        assert found.dtype == np.float32
        per_channel = found.reshape(3, -1)
        np.testing.assert_array_equal(per_channel.min(1), per_channel.max(1))  # whole or not at all
        missing += per_channel[:, 0] == 0
    assert missing[0] == 0
    # 800 / 4 = 200, standard deviation sqrt(800 * 3 / 16) = 12.2: within 5 of them
    assert (abs(missing[1:] - 200) < 61).all()
