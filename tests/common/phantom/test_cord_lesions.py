from __future__ import annotations

import cc3d
import numpy as np
import pytest

from common.phantom.cord_anatomy import CordAnatomy, drawn_anatomy, fine_grid
from common.phantom.cord_lesions import (
    MOST,
    CordHabit,
    CordLesions,
    drawn_cord_lesions,
    no_cord_lesions,
)


@pytest.fixture(scope="module")
def person() -> CordAnatomy:
    return drawn_anatomy(fine_grid(1.6), np.random.default_rng(2))


def drawn(person: CordAnatomy, seed: int, *, number: float = 1.0) -> CordLesions:
    habit = CordHabit(number=number, length_mm=14.0, faintest=0.6, edge_mm=1.0)
    return drawn_cord_lesions(person, habit, np.random.default_rng(seed))


def test_a_lesion_is_longer_along_the_cord_than_across(person: CordAnatomy) -> None:
    """One lesion each; on this grid of 1 mm voxels, extents are in mm."""
    extents = []
    for seed in range(8):
        lesion = drawn(person, seed).fraction > 0.5
        extents.append(np.ptp(np.argwhere(lesion), axis=0) + 1)
    across, deep, along = np.median(extents, axis=0)
    assert along > 1.5 * max(across, deep)
    assert 2 <= across <= 9


def test_most_lesions_lie_at_the_cords_edge(person: CordAnatomy) -> None:
    side = person.frame.right / person.radius[0]
    front = person.frame.front / person.radius[1]
    out = np.sqrt(np.square(side) + np.square(front))
    middles = [float(np.average(out, weights=drawn(person, seed).fraction)) for seed in range(12)]
    # 0 in the middle of the cord, 1 at its edge; evenly spread lesions would be at 2/3 at the most
    assert np.median(middles) > 0.55
    assert max(middles) < 1.05


@pytest.mark.parametrize("number", [1.0, 6.0, 40.0])
def test_there_is_at_least_one_lesion_and_at_most_ten(person: CordAnatomy, number: float) -> None:
    for seed in range(3):
        lesions = drawn(person, seed, number=number)
        _, n_found = cc3d.connected_components(
            lesions.fraction > 0.5, connectivity=26, return_N=True
        )
        assert 1 <= n_found <= MOST
        assert np.all(lesions.fraction <= person.cord)
        assert lesions.brightness.max() <= 1


def test_a_lesion_free_cord_has_faint_haze_alone(person: CordAnatomy) -> None:
    lesions = no_cord_lesions(person, np.random.default_rng(0))
    assert not lesions.fraction.any()
    assert lesions.brightness.max() <= 0.4
