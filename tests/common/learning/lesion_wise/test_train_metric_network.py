from __future__ import annotations

import numpy as np
import pytest

from common.errors import ConfigError, SiteDataError
from common.learning.lesion_wise.lesion_masks import synthetic_masks
from common.learning.lesion_wise.train_metric_network import train_metric_network
from common.recipe import LesionWise

SHAPE = (16, 16, 16)
SETTINGS = LesionWise(
    weight=0.2, widths=(8, 8), n_pairs=200, steps=60, batch_size=8, learning_rate=0.01
)
FEW = SETTINGS.model_copy(update={"n_pairs": 20, "steps": 2})


def test_sixty_steps_order_pairs_of_masks_never_seen() -> None:
    losses: list[float] = []
    trained = train_metric_network(
        SETTINGS, patch_shape=SHAPE, seed=1, on_step=lambda _, loss: losses.append(loss)
    )
    assert len(losses) == 60
    assert trained.figures.n_pairs == 100
    assert sum(trained.figures.n_by_bin) == 100
    assert trained.figures.spearman is not None
    assert trained.figures.spearman > 0.3
    assert trained.figures.mae < 0.25  # what answering 0.5 always would give


def test_the_same_seed_gives_the_same_parameters_and_another_seed_others() -> None:
    one, same, other = (train_metric_network(FEW, patch_shape=SHAPE, seed=s) for s in (2, 2, 3))
    for name, values in one.parameters.items():
        np.testing.assert_array_equal(values, same.parameters[name])
    assert one.figures == same.figures
    assert any((values != other.parameters[name]).any() for name, values in one.parameters.items())


def test_given_masks_are_split_into_training_and_held_out_ones() -> None:
    masks = synthetic_masks(12, patch_shape=(16, 16, 24), seed=4)
    trained = train_metric_network(FEW, patch_shape=(16, 16, 24), seed=0, masks=masks)
    assert trained.figures.n_pairs == 100
    masks[-1] = False  # the tenth that is held out: nothing is left to judge by
    with pytest.raises(SiteDataError, match="1 masks: want at least one lesion"):
        train_metric_network(FEW, patch_shape=(16, 16, 24), seed=0, masks=masks)


def test_masks_of_another_shape_are_refused() -> None:
    masks = synthetic_masks(4, patch_shape=(16, 16, 24), seed=4)
    with pytest.raises(ConfigError, match=r"want at least 2 of shape \(16, 16, 16\)"):
        train_metric_network(FEW, patch_shape=SHAPE, seed=0, masks=masks)
