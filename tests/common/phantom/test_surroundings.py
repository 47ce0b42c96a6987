from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from common.phantom.grid import common_grid
from common.phantom.lesions import no_lesions
from common.phantom.scanner import Scanner, brain_mask, drawn_scanners, scan, stripped_mask
from common.phantom.subject import Subject

GRID = common_grid(4.0)


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    (drawn,) = drawn_scanners(1, 0)
    return Scanner(flair=replace(drawn.flair, gamma=1.0, noise=0.0), t1w=drawn.t1w)


def test_remnants_lie_outside_the_brain_and_more_are_left_by_a_looser_stripping(
    subject: Subject, scanner: Scanner
) -> None:
    brain = brain_mask(subject, GRID)
    masks = [
        stripped_mask(subject, replace(scanner, looseness=looseness), GRID)
        for looseness in (0.0, 0.5, 0.8)
    ]
    np.testing.assert_array_equal(masks[0], brain)
    assert not np.any(brain & ~masks[1])
    assert not np.any(masks[1] & ~masks[2])
    assert brain.sum() < masks[1].sum() < masks[2].sum()
    far = subject.anatomy.brain > 0.99
    assert float(subject.remnants[far].max()) < 0.02


def test_remnants_lie_at_the_outer_edge_and_not_in_the_cistern_between_the_temporal_lobes(
    subject: Subject,
) -> None:
    anatomy = subject.anatomy
    outside = anatomy.brain < 0.5
    x, y, z = anatomy.grid.coordinates_mm()
    from_cistern = np.sqrt(np.square(x) + np.square(y + 4.0) + np.square(z + 14.0))
    cistern = outside & (from_cistern < 14.0)
    crown = outside & (z > 20.0) & (from_cistern < 130.0)
    assert cistern.any()
    assert float(subject.remnants[cistern].max()) < 0.3
    assert float(subject.remnants[crown].max()) > 0.6


def test_images_reach_as_far_as_the_stripping_leaves_in(subject: Subject, scanner: Scanner) -> None:
    loose = replace(scanner, looseness=0.6)
    for image in scan(subject, loose, grid=GRID, seed=0).values():
        np.testing.assert_array_equal(image.data > 0, stripped_mask(subject, loose, GRID))


def test_vessels_are_a_small_share_of_the_brain_and_most_in_fluid(subject: Subject) -> None:
    share = subject.vessels
    assert 0.0 <= float(share.min()) <= float(share.max()) <= 1.0
    brain = subject.anatomy.brain
    assert 0.001 < float(share.sum() / brain.sum()) < 0.1
    fluid, white = subject.anatomy.fraction("csf") > 0.7, subject.anatomy.fraction("white") > 0.9
    assert float(share[fluid].mean()) > 2.0 * float(share[white].mean())


def test_ghosts_are_the_moving_parts_shifted_along_the_phase_axis(
    subject: Subject, scanner: Scanner
) -> None:
    still = replace(subject, lesions=no_lesions(subject.anatomy.grid))
    images = {}
    for ghost in (0.0, 0.5):
        flair = replace(scanner.flair, ghost=ghost, ghost_mm=30.0, slice_axis=2, gain=3000.0)
        one = replace(scanner, flair=flair)
        images[ghost] = scan(still, one, grid=GRID, seed=0)["FLAIR"].data.astype(float)
    change = images[0.5] - images[0.0]
    brain = brain_mask(subject, GRID)
    assert float(np.abs(change[brain]).mean()) > 1.0
    # the first ghost adds and the second takes away
    assert change.min() < 0 < change.max()


def test_grain_changes_from_one_millimetre_to_the_next_and_not_in_fluid(subject: Subject) -> None:
    fluid = subject.anatomy.fraction("ventricle") > 0.99
    assert float(np.abs(subject.grain[fluid]).max()) < 0.01
    cortex = subject.anatomy.fraction("cortex") > 0.9
    white = subject.anatomy.fraction("white") > 0.9
    assert float(subject.grain[cortex].std()) > 1.3 * float(subject.grain[white].std()) > 0
