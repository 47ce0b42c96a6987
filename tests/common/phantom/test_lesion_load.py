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


def test_a_lesion_larger_than_the_load_is_left_out_and_others_are_drawn_in_its_place(
    average: Anatomy, habit: LesionHabit, mask: Field
) -> None:
    # the block on the right is some 30 mL, the small one about 1 mL
    own = replace(habit, load_ml=3.0, spread=0.0)
    lesions = masked_to_load(mask, average, own, np.random.default_rng(0))
    x, _, _ = average.grid.coordinates_mm()
    small = (mask > 0) & (x < 0) & (average.fraction("white") > 0.95)
    assert float(lesions.fraction[small].min()) > 0.9
    assert 2.0 < load_ml(lesions.fraction) < 4.0


def test_large_and_small_lesions_of_a_mask_are_mixed(average: Anatomy, habit: LesionHabit) -> None:
    """A large lesion is kept in some patients whose load it fits, and left out in others."""
    x, y, z = average.grid.coordinates_mm()
    white = (np.abs(y + 20) < 30) & (np.abs(z - 30) < 8)
    large = white & (np.abs(x - 26) < 5) & (np.abs(y + 20) < 10)
    apart = (np.floor((y + 50) / 3) % 4 < 2) & (np.floor((z - 20) / 3) % 4 < 2)
    many = white & (np.abs(x + 26) < 5) & apart
    mask = (large | many).astype(np.float32)
    own = replace(habit, load_ml=load_ml(large.astype(np.float32)), spread=0.0)
    kept = []
    for seed in range(8):
        lesions = masked_to_load(mask, average, own, np.random.default_rng(seed))
        inside = large & (average.fraction("white") > 0.95)
        kept.append(bool(lesions.fraction[inside].mean() > 0.5))
    assert 0 < sum(kept) < 8


@pytest.mark.parametrize("wanted_ml", [0.6, 1.0, 5.0])
def test_a_small_load_is_met(
    average: Anatomy, habit: LesionHabit, mask: Field, wanted_ml: float
) -> None:
    own = replace(habit, load_ml=wanted_ml, spread=0.0)
    lesions = masked_to_load(mask, average, own, np.random.default_rng(1))
    assert load_ml(lesions.fraction) == pytest.approx(wanted_ml, rel=0.4)
