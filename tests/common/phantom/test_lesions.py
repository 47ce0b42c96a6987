from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from common.phantom.anatomy import Anatomy
from common.phantom.grid import PhantomGrid
from common.phantom.lesions import (
    Lesion,
    LesionHabit,
    PhantomLesions,
    confluent_lesion,
    core_contrast,
    drawn_lesions,
    lesion_list,
    masked_lesions,
    no_lesions,
    painted,
)


def load_ml(lesions: PhantomLesions, anatomy: Anatomy) -> float:
    return float(lesions.fraction.sum() * np.prod(anatomy.grid.spacing_mm) / 1000.0)


def test_median_patient_has_about_the_load_asked_for(average: Anatomy, habit: LesionHabit) -> None:
    loads = [
        load_ml(drawn_lesions(average, habit, np.random.default_rng(seed)), average)
        for seed in range(7)
    ]
    # the median of 7 draws of a log-normal with sigma 0.45 lies within a factor of 1.6
    assert 20.0 / 1.6 < float(np.median(loads)) < 20.0 * 1.6


def test_lesions_lie_in_white_matter_and_not_in_fluid(average: Anatomy, habit: LesionHabit) -> None:
    fraction = drawn_lesions(average, habit, np.random.default_rng(4)).fraction
    fluid = average.fraction("csf") + average.fraction("ventricle")
    outside = average.brain < 0.01
    assert float((fraction * average.fraction("white")).sum()) > 0.6 * float(fraction.sum())
    assert float((fraction * fluid).sum()) < 0.1 * float(fraction.sum())
    assert float(fraction[outside].sum()) == 0.0


def test_periventricular_habit_brings_lesions_closer_to_the_ventricles(
    average: Anatomy, habit: LesionHabit
) -> None:
    def mean_distance_mm(periventricular: float) -> float:
        chosen = replace(habit, periventricular=periventricular, juxtacortical=0.1)
        fraction = drawn_lesions(average, chosen, np.random.default_rng(0)).fraction
        return float((fraction * average.ventricle_mm).sum() / fraction.sum())

    assert mean_distance_mm(0.85) < mean_distance_mm(0.05) - 5.0


def test_no_lesion_is_brighter_than_full_contrast_and_the_habit_sets_the_faintest(
    average: Anatomy, habit: LesionHabit
) -> None:
    lesions = drawn_lesions(average, replace(habit, faintest=0.8), np.random.default_rng(1))
    core = lesions.fraction > 0.95
    assert core.any()
    assert float(lesions.brightness.max()) <= 1.0
    assert float(np.median(lesions.brightness[core])) > 0.7


def test_drawing_does_not_change_the_anatomy(average: Anatomy, habit: LesionHabit) -> None:
    before = average.fractions.copy()
    drawn_lesions(average, habit, np.random.default_rng(1))
    np.testing.assert_array_equal(before, average.fractions)


def test_healthy_subject_has_no_lesion(average: Anatomy) -> None:
    assert load_ml(no_lesions(average.grid), average) == 0.0


def test_real_mask_keeps_its_place_and_loses_what_lies_in_fluid(
    average: Anatomy, habit: LesionHabit
) -> None:
    mask = np.zeros(average.grid.shape, dtype=np.float32)
    white = average.fraction("white") > 0.95
    i, j, k = (int(n) for n in np.argwhere(white)[np.count_nonzero(white) // 3])
    mask[i, j, k] = 1.0
    mask[average.fraction("ventricle") > 0.95] = 1.0
    lesions = masked_lesions(mask, average, habit, np.random.default_rng(0))
    assert lesions.fraction[i, j, k] == pytest.approx(1.0, abs=0.06)
    assert lesions.brightness[i, j, k] > 0.0
    # all that is left of the ventricles' voxels is their partial volume of tissue
    assert float(lesions.fraction[average.fraction("ventricle") > 0.95].max()) < 0.05


def test_each_lesion_of_the_list_is_in_the_painting(average: Anatomy, habit: LesionHabit) -> None:
    lesions = lesion_list(average, habit, np.random.default_rng(3))
    whole = painted(lesions, average.grid, edge_mm=habit.edge_mm)
    assert len(lesions) > 10
    for lesion in lesions:
        own = lesion.fraction(average.grid.spacing_mm[0])
        assert np.all(whole.fraction[lesion.box] >= own)


@pytest.mark.parametrize(
    ("grown_mm", "expected"),
    [
        # voxel n lies 1.1 (2 n - 7) mm outside and holds 0.5 - (1.1 (2 n - 7) - grown) / 2.2,
        # that is 4 - n + grown / 2.2, at least 0 and at most 1
        pytest.param(0.0, [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0], id="as drawn"),
        pytest.param(4.4, [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0], id="4.4 mm further: 2.2 voxels"),
        pytest.param(-2.2, [1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0], id="2.2 mm back: 1.1 voxels"),
    ],
)
def test_border_moves_by_what_a_lesion_has_grown(grown_mm: float, expected: list[float]) -> None:
    grid = PhantomGrid((0.0, 0.0, 0.0), (2.0, 2.0, 2.0), (7, 1, 1))
    along_mm = 2.0 * np.arange(7.0) - 7.0
    lesion = Lesion(
        box=(slice(0, 7), slice(0, 1), slice(0, 1)),
        outside_mm=1.1 * along_mm[:, None, None],
        ground=np.ones((7, 1, 1), dtype=np.float32),
        bright=0.5,
        dark=0.25,
    )
    moved = painted([lesion], grid, edge_mm=0.1, grown_mm=[grown_mm])
    np.testing.assert_allclose(moved.fraction[:, 0, 0], expected, atol=1e-6)
    np.testing.assert_allclose(moved.brightness, 0.5 * moved.fraction, atol=1e-6)
    np.testing.assert_allclose(moved.darkness, 0.25 * moved.fraction, atol=1e-6)


@pytest.mark.parametrize("wanted_ml", [30.0, 60.0])
def test_confluent_lesion_has_the_volume_asked_for_and_lies_at_both_ventricles(
    average: Anatomy, habit: LesionHabit, wanted_ml: float
) -> None:
    lesion = confluent_lesion(average, habit, 1000.0 * wanted_ml, np.random.default_rng(2))
    fraction = lesion.fraction(average.grid.spacing_mm[0])
    # its border runs through voxels of 3 mm, half of one on either side
    assert float(fraction.sum()) * 0.027 == pytest.approx(wanted_ml, rel=0.15)
    x, _, _ = average.grid.coordinates_mm()
    left = float((fraction * (x < 0)).sum() / fraction.sum())
    assert 0.25 < left < 0.75
    away_mm = float((fraction * average.ventricle_mm).sum() / fraction.sum())
    white = average.fraction("white")
    assert away_mm < 0.6 * float((white * average.ventricle_mm).sum() / white.sum())


def test_patients_with_eighty_millilitres_can_be_drawn(
    average: Anatomy, habit: LesionHabit
) -> None:
    heavy = replace(habit, load_ml=80.0, spread=0.0, confluent=0.7)
    assert load_ml(drawn_lesions(average, heavy, np.random.default_rng(0)), average) > 70.0


@pytest.mark.parametrize(
    ("depth_mm", "factor", "darker"),
    [
        pytest.param(2.0, 1.0, 0.0, id="nothing up to 2 mm"),
        # (4.5 - 2) / 5 = half of the share lost, 0.4: 1 - 0.2, and 0.6 times 0.2
        pytest.param(4.5, 0.8, 0.12, id="half way"),
        pytest.param(30.0, 0.6, 0.24, id="all of it from 7 mm on"),
    ],
)
def test_contrast_falls_towards_the_core(depth_mm: float, factor: float, darker: float) -> None:
    dimmed, blackened = core_contrast(np.array([depth_mm]), 0.4)
    assert dimmed[0] == pytest.approx(factor)
    assert blackened[0] == pytest.approx(darker)
