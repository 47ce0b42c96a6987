from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from common.imaging.volume import Volume
from common.phantom.cord_anatomy import (
    FIELD_OF_VIEW_MM,
    CordAnatomy,
    drawn_anatomy,
    fine_grid,
)
from common.phantom.cord_lesions import CordHabit, CordLesions, drawn_cord_lesions
from common.phantom.cord_scanner import (
    CordScanner,
    cord_lesion_mask,
    cord_mask,
    drawn_cord_scanners,
    near_cord,
    scan_cord,
)
from common.phantom.grid import covering

TARGET = covering(FIELD_OF_VIEW_MM, (1.6, 1.6, 1.6))
Person = tuple[CordAnatomy, CordLesions]


@pytest.fixture(scope="module")
def person() -> Person:
    rng = np.random.default_rng(3)
    anatomy = drawn_anatomy(fine_grid(1.6), rng)
    habit = CordHabit(number=6.0, length_mm=16.0, faintest=0.9, edge_mm=0.7)
    return anatomy, drawn_cord_lesions(anatomy, habit, rng)


def seen(person: Person, scanner: CordScanner, *, seed: int = 1) -> Volume:
    anatomy, lesions = person
    region = near_cord(anatomy, TARGET)
    return scan_cord(anatomy, lesions, scanner, region=region, target=TARGET, seed=seed)


def test_fluid_is_brighter_than_a_lesion_and_a_lesion_than_the_cord(person: Person) -> None:
    anatomy, lesions = person
    lesion, cord = cord_lesion_mask(anatomy, lesions, TARGET), cord_mask(anatomy, TARGET)
    for scanner in drawn_cord_scanners(3, 0):
        image = seen(person, scanner).data
        region = image[near_cord(anatomy, TARGET)]
        inside = np.median(image[cord & ~lesion])
        assert inside < np.median(image[lesion]) < np.percentile(region, 98)


def test_scanners_that_differ_in_gain_and_offset_alone_make_images_that_differ_only_so(
    person: Person,
) -> None:
    one = dataclasses.replace(drawn_cord_scanners(1, 0)[0], gain=1000.0, offset=10.0)
    other = dataclasses.replace(one, gain=2000.0, offset=50.0)
    first, second = seen(person, one).data, seen(person, other).data
    inside = first > 0
    np.testing.assert_allclose(second[inside] - 50.0, 2.0 * (first[inside] - 10.0), atol=1.6)


def test_the_seed_decides_noise_and_slices(person: Person) -> None:
    scanner = drawn_cord_scanners(1, 0)[0]
    one, again, other = (seen(person, scanner, seed=seed).data for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_moving_fluid_is_darker(person: Person) -> None:
    still = dataclasses.replace(drawn_cord_scanners(1, 0)[0], flow=0.0, ghost=0.0)
    moving = dataclasses.replace(still, flow=0.8)
    before, after = (seen(person, scanner).data.astype(float) for scanner in (still, moving))
    assert (before - after).max() > 0.2 * before.max()
    assert (after - before).max() < 0.02 * before.max()


def test_scanners_span_their_ranges_and_differ() -> None:
    scanners = drawn_cord_scanners(4, 7)
    assert scanners == drawn_cord_scanners(4, 7)
    # 0.75 to 1.3 in four parts: the lowest lies below 0.8875, the highest above 1.1625
    gammas = sorted(scanner.gamma for scanner in scanners)
    assert 0.75 <= gammas[0] <= 0.8875
    assert 1.1625 <= gammas[-1] <= 1.3
    assert {len(scanner.spacing_mm()) for scanner in scanners} == {3}
    for scanner in scanners:
        assert scanner.spacing_mm()[scanner.slice_axis] == scanner.slice_mm
