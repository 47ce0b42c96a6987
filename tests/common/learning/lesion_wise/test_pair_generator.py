from __future__ import annotations

import numpy as np
import pytest

from common.errors import ConfigError, SiteDataError
from common.learning.lesion_wise.lesion_events import true_lesion_f1
from common.learning.lesion_wise.lesion_masks import synthetic_masks
from common.learning.lesion_wise.pair_generator import LesionPairs, bin_of, generate_pairs

SHAPE = (20, 24, 28)


@pytest.fixture(scope="module")
def pairs() -> LesionPairs:
    return generate_pairs(synthetic_masks(30, patch_shape=SHAPE, seed=1), n_pairs=100, seed=2)


def test_every_tenth_of_lesion_f1_has_as_many_pairs(pairs: LesionPairs) -> None:
    bins = [bin_of(float(target)) for target in pairs.targets]
    assert np.bincount(bins, minlength=10).tolist() == [10] * 10


def test_the_target_is_lesion_f1_of_the_prediction_above_one_half(pairs: LesionPairs) -> None:
    # the reference's blur is too small to move its half height by more than a crumb of a lesion
    far = 0
    for reference, prediction, target in zip(
        pairs.references, pairs.predictions, pairs.targets, strict=True
    ):
        found = true_lesion_f1(reference > 127, prediction > 127)
        far += abs(found - target) > 1e-6
    assert far <= 3


def test_the_events_make_the_target(pairs: LesionPairs) -> None:
    found, missed, confirmed, false = pairs.events.astype(np.float64).sum((2, 3, 4)).T
    some = (found > 0.5) & (confirmed > 0.5)
    ltpr = found[some] / (found + missed)[some]
    lppv = confirmed[some] / (confirmed + false)[some]
    np.testing.assert_allclose(
        2 * ltpr * lppv / (ltpr + lppv),
        pairs.targets[some],
        atol=0.01,  # float16 cells
    )


def test_predictions_are_soft_as_well_as_nearly_masks(pairs: LesionPairs) -> None:
    shares = ((pairs.predictions > 12) & (pairs.predictions < 243)).mean((1, 2, 3))
    assert (shares > 0.5).sum() >= 5  # grey everywhere
    assert (shares < 0.05).sum() >= 20


def test_the_same_seed_gives_the_same_pairs_and_another_seed_others() -> None:
    masks = synthetic_masks(8, patch_shape=(16, 20, 24), seed=1)
    one, same, other = (generate_pairs(masks, n_pairs=20, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.predictions, same.predictions)
    np.testing.assert_array_equal(one.references, same.references)
    np.testing.assert_array_equal(one.targets, same.targets)
    assert (one.predictions != other.predictions).any()


def test_masks_without_a_lesion_are_refused() -> None:
    with pytest.raises(SiteDataError, match="2 masks: want at least one lesion"):
        generate_pairs(np.zeros((2, *SHAPE), dtype=np.bool_), n_pairs=10, seed=0)


def test_patches_that_cells_do_not_fill_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"\(8, 8, 10\): want three multiples of 4"):
        generate_pairs(np.ones((1, 8, 8, 10), dtype=np.bool_), n_pairs=10, seed=0)


def test_masks_that_cannot_fill_every_tenth_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.learning.lesion_wise.pair_generator.MOST_TRIES", 5)
    full = np.ones((2, 8, 8, 8), dtype=np.bool_)  # one lesion, wherever one looks
    with pytest.raises(SiteDataError, match="could not fill"):
        generate_pairs(full, n_pairs=20, seed=0)
