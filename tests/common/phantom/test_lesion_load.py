from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from common.phantom.anatomy import Anatomy
from common.phantom.grid import Field
from common.phantom.lesion_load import masked_to_load
from common.phantom.lesions import LesionHabit


@pytest.fixture
def mask(average: Anatomy) -> Field:
    """Two lesions in white matter on the right: a large block and a small one."""
    x, y, z = average.grid.coordinates_mm()
    large = (np.abs(x - 28) < 9) & (np.abs(y + 20) < 25) & (np.abs(z - 30) < 8)
    small = (np.abs(x + 28) < 5) & (np.abs(y - 10) < 5) & (np.abs(z - 30) < 5)
    return (large | small).astype(np.float32)


def load_ml(fraction: Field) -> float:
    return float(fraction.sum()) * 0.027  # voxels of 3 mm


@pytest.mark.parametrize("wanted_ml", [20.0, 60.0])
def test_drawn_lesions_fill_up_a_mask_with_less(
    average: Anatomy, habit: LesionHabit, mask: Field, wanted_ml: float
) -> None:
    own = replace(habit, load_ml=wanted_ml, spread=0.0, confluent=0.5)
    lesions = masked_to_load(mask, average, own, np.random.default_rng(0))
    # drawn lesions may fall on the mask's
    assert 0.7 * wanted_ml < load_ml(lesions.fraction) < 1.2 * wanted_ml
    middle = (mask > 0) & (average.fraction("white") > 0.95)
    assert float(lesions.fraction[middle].min()) > 0.9


def test_largest_lesion_is_left_out_where_the_rest_reaches_the_load(
    average: Anatomy, habit: LesionHabit, mask: Field
) -> None:
    own = replace(habit, load_ml=0.4, spread=0.0)
    lesions = masked_to_load(mask, average, own, np.random.default_rng(0))
    x, _, _ = average.grid.coordinates_mm()
    left = np.broadcast_to(x < 0, mask.shape)
    assert float(lesions.fraction[left].sum()) > 0
    assert float(lesions.fraction[~left].sum()) == 0.0
