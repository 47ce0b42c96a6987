from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.errors import SiteDataError
from common.imaging.volume import Volume, write_volume
from common.phantom.anatomy import (
    TISSUES,
    Anatomy,
    Deformation,
    individual,
    label_map_anatomy,
)
from common.phantom.grid import LABEL_MAP_BOX_MM, anatomy_grid

LABEL_MAPS = Path(__file__).parents[4] / "shared" / "data" / "anatomies"


def volume_ml(anatomy: Anatomy, tissue: str) -> float:
    return float(anatomy.fraction(tissue).sum() * np.prod(anatomy.grid.spacing_mm) / 1000.0)


def test_fractions_of_the_average_brain_lie_between_0_and_1_and_sum_to_the_brain(
    average: Anatomy,
) -> None:
    assert float(average.fractions.min()) >= -1e-5
    assert float(average.brain.max()) <= 1.0 + 1e-5
    # the template's brain holds 1887 mL
    assert sum(volume_ml(average, tissue) for tissue in TISSUES) == pytest.approx(1887, rel=0.02)


def test_average_brain_has_its_ventricles_near_the_midline_and_tissue_in_plausible_amounts(
    average: Anatomy,
) -> None:
    assert 10 < volume_ml(average, "ventricle") < 40
    assert 20 < volume_ml(average, "deep_grey") < 90
    assert volume_ml(average, "cortex") > volume_ml(average, "deep_grey") * 8
    x, y, z = average.grid.coordinates_mm()
    ventricle = average.fraction("ventricle")
    centre = [float((ventricle * axis).sum() / ventricle.sum()) for axis in (x, y, z)]
    np.testing.assert_allclose(centre, (0.0, -15.0, 15.0), atol=8.0)


def test_distance_is_zero_in_the_ventricles_and_grows_away_from_them(average: Anatomy) -> None:
    inside = average.fraction("ventricle") > 0.5
    assert float(average.ventricle_mm[inside].max()) == 0.0
    assert float(average.ventricle_mm[average.fraction("cortex") > 0.7].mean()) > 15.0


def test_two_people_differ_and_each_brain_stays_whole(average: Anatomy) -> None:
    one, _ = individual(average, np.random.default_rng(1))
    other, _ = individual(average, np.random.default_rng(2))
    for person in (one, other):
        assert float(person.brain.max()) <= 1.0 + 1e-4
        assert float(person.brain.sum()) == pytest.approx(float(average.brain.sum()), rel=0.08)
    assert float(np.abs(one.fraction("white") - other.fraction("white")).mean()) > 0.02


def test_the_same_seed_gives_the_same_person(average: Anatomy) -> None:
    one, _ = individual(average, np.random.default_rng(5))
    again, _ = individual(average, np.random.default_rng(5))
    np.testing.assert_array_equal(one.fractions, again.fractions)


def test_deformation_interpolates_between_voxels_and_leaves_the_rest_empty() -> None:
    field = np.arange(4 * 3 * 5, dtype=np.float32).reshape(1, 4, 3, 5)
    inside = np.zeros((4, 3, 5), dtype=bool)
    inside[1, 1, 2] = True
    # index (1.5, 0.25, 3): 15 a step along i, 5 along j, 1 along k: 22.5 + 1.25 + 3
    moved = Deformation(inside, np.array([[1.5, 0.25, 3.0]], dtype=np.float32)).warped(field)
    assert moved[0, 1, 1, 2] == pytest.approx(26.75)
    assert np.count_nonzero(moved) == 1


def test_label_map_without_freesurfer_labels_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tumour.nii.gz"
    write_volume(Volume(np.full((4, 5, 6), 600, dtype=np.int16), np.diag([1.0, 2, 3, 1])), path)
    with pytest.raises(SiteDataError, match=r"tumour\.nii\.gz: want a brain label map .* \[600\]"):
        label_map_anatomy(path, anatomy_grid(4.0))


def test_label_map_without_a_structure_that_places_it_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "half.nii.gz"
    labels = np.full((4, 5, 6), 2, dtype=np.int16)
    write_volume(Volume(labels, np.diag([1.0, 2, 3, 1])), path)
    with pytest.raises(SiteDataError, match=r"half\.nii\.gz: want FreeSurfer label 41"):
        label_map_anatomy(path, anatomy_grid(4.0))


@pytest.mark.skipif(not LABEL_MAPS.is_dir(), reason="the real label maps are not here")
def test_real_label_map_lands_where_the_template_lies(average: Anatomy) -> None:
    real = label_map_anatomy(LABEL_MAPS / "anatomy-01.nii.gz", average.grid)
    overlap = np.minimum(real.brain, average.brain).sum()
    dice = 2 * float(overlap) / float(real.brain.sum() + average.brain.sum())
    assert dice > 0.85
    white = np.corrcoef(real.fraction("white").ravel(), average.fraction("white").ravel())[0, 1]
    assert float(white) > 0.6


@pytest.mark.skipif(not LABEL_MAPS.is_dir(), reason="the real label maps are not here")
def test_no_brain_of_a_real_label_map_is_cut_flat_by_its_box() -> None:
    grid = anatomy_grid(4.0, LABEL_MAP_BOX_MM)
    for number, path in enumerate(sorted(LABEL_MAPS.glob("*.nii.gz"))):
        brain = individual(label_map_anatomy(path, grid), np.random.default_rng(number))[0].brain
        inner = brain[1:-1, 1:-1, 1:-1]
        assert float(brain.sum() - inner.sum()) < 1e-3 * float(brain.sum()), path.name
