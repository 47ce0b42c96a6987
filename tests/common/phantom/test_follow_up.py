from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from common.phantom.anatomy import Anatomy
from common.phantom.follow_up import FollowUp, followed_up
from common.phantom.grid import Field
from common.phantom.lesions import LesionHabit
from common.phantom.raters import drawn_raters


def make(average: Anatomy, habit: LesionHabit, *, has_new: bool, seed: int = 0) -> FollowUp:
    return followed_up(
        average,
        habit,
        has_new=has_new,
        raters=drawn_raters(2, 0),
        spacing_mm=4.0,
        rng=np.random.default_rng(seed),
    )


@pytest.fixture(scope="module")
def changed(average: Anatomy, habit: LesionHabit) -> FollowUp:
    return make(average, habit, has_new=True)


@pytest.fixture(scope="module")
def unchanged(average: Anatomy, habit: LesionHabit) -> FollowUp:
    return make(average, habit, has_new=False)


def volume_ml(field: Field, anatomy: Anatomy) -> float:
    return float(field.sum() * np.prod(anatomy.grid.spacing_mm) / 1000.0)


def test_new_lesions_are_lesions_of_the_later_date_and_touch_none_of_the_earlier(
    changed: FollowUp,
) -> None:
    new = changed.new > 0.5
    assert new.any()
    assert np.all(changed.later.lesions.fraction >= changed.new - 1e-4)
    around = ndimage.binary_dilation(new, structure=np.ones((3, 3, 3), dtype=bool))
    assert not np.any(around & (changed.earlier.lesions.fraction > 0.5))


def test_enlarged_lesions_are_no_new_lesions(changed: FollowUp) -> None:
    later = changed.later.lesions.fraction > 0.5
    earlier = changed.earlier.lesions.fraction > 0.5
    appeared = later & ~earlier & ~(changed.new > 0.2)
    touching = ndimage.binary_dilation(earlier) & appeared
    assert np.count_nonzero(touching) > 20


def test_what_is_a_lesion_at_the_later_date_alone_is_in_the_reference(changed: FollowUp) -> None:
    later = changed.later.lesions.fraction > 0.5
    parts, n_lesions = ndimage.label(later, structure=np.ones((3, 3, 3)))
    known = (changed.earlier.lesions.fraction > 0.2) | (changed.new > 0.2)
    unknown = np.setdiff1d(np.arange(1, n_lesions + 1), parts[ndimage.binary_dilation(known)])
    assert all(np.count_nonzero(parts == part) < 3 for part in unknown)


def test_subject_without_new_lesions_has_none_and_still_changes(unchanged: FollowUp) -> None:
    assert float(unchanged.new.max()) == 0.0
    earlier, later = unchanged.earlier, unchanged.later
    assert not np.array_equal(earlier.lesions.fraction, later.lesions.fraction)


def test_ventricles_widen_and_the_rest_of_the_brain_hardly_moves(changed: FollowUp) -> None:
    earlier, later = (date.anatomy for date in (changed.earlier, changed.later))
    before, after = (volume_ml(a.fraction("ventricle"), a) for a in (earlier, later))
    assert before < after < 1.3 * before
    x, y, z = earlier.grid.coordinates_mm()
    for axis in (x, y, z):
        middles = [float((a.brain * axis).sum() / a.brain.sum()) for a in (earlier, later)]
        # a quarter of a voxel of 4 mm is 1 mm; the drift adds a little
        assert abs(middles[1] - middles[0]) < 1.2


def test_both_dates_are_as_sharp(changed: FollowUp) -> None:
    rough = [
        float(np.abs(np.diff(date.anatomy.fraction("white"), axis=0)).mean())
        for date in (changed.earlier, changed.later)
    ]
    assert rough[1] == pytest.approx(rough[0], rel=0.03)


def test_each_rater_has_an_opinion_of_its_own(changed: FollowUp) -> None:
    one, other = (mask > 0.5 for mask in changed.rated)
    assert not np.array_equal(one, other)
    assert np.any((one | other) & (changed.new > 0.5))


def test_the_same_seed_repeats_the_subject(
    changed: FollowUp, average: Anatomy, habit: LesionHabit
) -> None:
    again = make(average, habit, has_new=True)
    np.testing.assert_array_equal(again.new, changed.new)
    np.testing.assert_array_equal(again.later.glow, changed.later.glow)
