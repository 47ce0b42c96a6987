from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest

from common.arrays import Float32Array
from common.phantom.grid import common_grid
from common.phantom.lesions import no_lesions
from common.phantom.scanner import (
    Scanner,
    brain_mask,
    drawn_scanners,
    lesion_mask,
    scan,
)
from common.phantom.subject import Subject
from common.phantom.tissue_signal import flair_signal, t1w_signal

GRID = common_grid(4.0)


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    return drawn_scanners(5, 2)[1]


def with_line(scanner: Scanner, *, gain: float, offset: float) -> Scanner:
    return Scanner(
        flair=replace(scanner.flair, gain=gain, offset=offset),
        t1w=replace(scanner.t1w, gain=gain, offset=offset),
    )


def test_images_are_brain_only_on_the_grid_asked_for(subject: Subject, scanner: Scanner) -> None:
    images = scan(subject, scanner, grid=GRID, seed=0)
    brain = brain_mask(subject, GRID)
    assert list(images) == ["FLAIR", "T1w"]
    for image in images.values():
        assert image.data.dtype == np.int16
        np.testing.assert_array_equal(image.affine, GRID.affine)
        np.testing.assert_array_equal(image.data > 0, brain)


def test_flair_and_t1w_order_the_tissues_as_textbooks_do(
    subject: Subject, scanner: Scanner
) -> None:
    flair = flair_signal(subject, scanner.flair.contrast)
    t1w = t1w_signal(subject, scanner.t1w.contrast)
    anatomy, lesion = subject.anatomy, subject.lesions.fraction

    def mean(signal: Float32Array, tissue: str) -> float:
        return float(signal[(anatomy.fraction(tissue) > 0.9) & (lesion < 0.01)].mean())

    assert mean(flair, "ventricle") < mean(flair, "white") < mean(flair, "cortex")
    assert mean(t1w, "ventricle") < mean(t1w, "cortex") < mean(t1w, "white")
    core = (lesion > 0.9) & (anatomy.fraction("white") > 0.9)
    assert float(flair[core].mean()) > mean(flair, "cortex")
    assert float(t1w[core].mean()) < mean(t1w, "white")


def test_scanners_that_differ_in_gain_and_offset_make_images_that_lie_on_a_line(
    subject: Subject, scanner: Scanner
) -> None:
    one = with_line(scanner, gain=1000.0, offset=0.0)
    other = with_line(scanner, gain=2500.0, offset=90.0)
    brain = brain_mask(subject, GRID)
    for suffix in ("FLAIR", "T1w"):
        a = scan(subject, one, grid=GRID, seed=7)[suffix].data[brain].astype(float)
        b = scan(subject, other, grid=GRID, seed=7)[suffix].data[brain].astype(float)
        # both are rounded to whole numbers: half a unit, and half a unit times 2.5
        np.testing.assert_allclose(b, 2.5 * a + 90.0, atol=1.76)


def test_gamma_bends_the_image_and_keeps_its_order(subject: Subject, scanner: Scanner) -> None:
    brain = brain_mask(subject, GRID)
    curves = [
        scan(
            subject,
            Scanner(
                flair=replace(scanner.flair, gamma=gamma, gain=8000.0, offset=0.0),
                t1w=scanner.t1w,
            ),
            grid=GRID,
            seed=7,
        )["FLAIR"].data[brain]
        for gamma in (1.0, 2.0)
    ]
    straight, bent = (curve.astype(float) / 8000.0 for curve in curves)
    np.testing.assert_allclose(bent, straight**2, atol=4e-4)


def test_the_same_seed_repeats_the_noise_and_another_does_not(
    subject: Subject, scanner: Scanner
) -> None:
    first, again, other = (
        scan(subject, scanner, grid=GRID, seed=seed)["FLAIR"].data for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.mean(first != other) > 0.1


def test_thick_slices_blur_along_their_own_axis(subject: Subject, scanner: Scanner) -> None:
    def roughness(slice_mm: float, axis: int) -> float:
        thick = replace(
            scanner.flair, noise=0.0, bias_field=0.0, slice_mm=slice_mm, slice_axis=2, gamma=1.0
        )
        image = scan(subject, Scanner(flair=thick, t1w=scanner.t1w), grid=GRID, seed=0)["FLAIR"]
        inside = image.data[12:34, 12:42, 12:32].astype(float)
        return float(np.abs(np.diff(inside, axis=axis)).mean() / inside.mean())

    assert roughness(12.0, 2) < 0.85 * roughness(1.0, 2)


def test_reference_is_the_majority_of_the_voxel_and_lies_in_the_brain(subject: Subject) -> None:
    lesion = lesion_mask(subject, GRID)
    assert lesion.any()
    assert not np.any(lesion & ~brain_mask(subject, GRID))
    healthy = replace(subject, lesions=no_lesions(subject.anatomy.grid))
    assert not lesion_mask(healthy, GRID).any()


def test_no_two_scanners_share_a_part_of_a_range() -> None:
    # 8 scanners, gamma from 0.7 to 1.4: one in each eighth, 0.0875 wide
    gammas = sorted(s.flair.gamma for s in drawn_scanners(8, 3))
    eighths = [int((gamma - 0.7) / 0.0875) for gamma in gammas]
    assert eighths == list(range(8))


def test_scanners_come_from_the_seed_alone() -> None:
    assert [asdict(s) for s in drawn_scanners(3, 5)] == [asdict(s) for s in drawn_scanners(3, 5)]
    assert drawn_scanners(3, 5) != drawn_scanners(3, 6)
