from __future__ import annotations

import numpy as np
import pytest

from common.errors import ConfigError, SiteDataError
from common.learning.lesion_wise.lesion_masks import synthetic_masks
from common.learning.lesion_wise.train_metric_network import (
    masks_wanted,
    train_metric_network,
)
from common.recipe.loss import LesionWise

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


def test_given_masks_to_train_on_and_to_be_judged_by_are_kept_apart() -> None:
    shape = (16, 16, 24)
    ours = synthetic_masks(12, patch_shape=shape, seed=4)
    others = synthetic_masks(3, patch_shape=shape, seed=5)
    trained = train_metric_network(FEW, patch_shape=shape, seed=0, masks=(ours, others))
    assert trained.figures.n_pairs == 100
    again = train_metric_network(FEW, patch_shape=shape, seed=0, masks=(ours, ours[:3]))
    assert again.figures != trained.figures  # judged by others, and trained alike:
    for name, values in trained.parameters.items():
        np.testing.assert_array_equal(values, again.parameters[name])
    with pytest.raises(SiteDataError, match="3 masks: want at least one lesion"):
        train_metric_network(FEW, patch_shape=shape, seed=0, masks=(ours, np.zeros_like(others)))


@pytest.mark.parametrize("wrong", [0, 1])
def test_masks_of_another_shape_are_refused(wrong: int) -> None:
    fine = synthetic_masks(4, patch_shape=SHAPE, seed=4)
    other = synthetic_masks(4, patch_shape=(16, 16, 24), seed=4)
    masks = (other, fine) if wrong == 0 else (fine, other)
    with pytest.raises(ConfigError, match=r"want at least 1 of shape \(16, 16, 16\)"):
        train_metric_network(FEW, patch_shape=SHAPE, seed=0, masks=masks)


def test_a_fifth_as_many_masks_as_pairs_are_wanted_and_never_below_twenty() -> None:
    """1001 pairs: 200.2 masks, so 201; a tenth, 100 pairs, held out: 20. 30000: 6000 and 600."""
    many = SETTINGS.model_copy(update={"n_pairs": 30000})
    odd = SETTINGS.model_copy(update={"n_pairs": 1001})
    assert [masks_wanted(one) for one in (FEW, odd, many)] == [(20, 20), (201, 20), (6000, 600)]
