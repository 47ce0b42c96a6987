from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from client.prepare.prepare_subject import prepare_subject
from client.prepare.qc_page import is_drawn, page_path
from client.prepare.qc_planes import STEP_MM, Cut, Window, checkerboard, plane_of, window_on
from common.imaging.volume import Volume
from tests.client.prepare.jobs import toy_job


def page_of(tmp_path: Path, **keys: object) -> str:
    job = toy_job(tmp_path, **keys)
    prepare_subject(job)
    return page_path(job.out, job.cases[0]).read_text(encoding="utf-8")


def test_the_page_says_that_it_stays_and_shows_both_images_before_and_after(tmp_path: Path) -> None:
    page = page_of(tmp_path)
    assert "This page shows a patient and stays at the site" in page
    for alt in ("FLAIR before and after", "T1w before and after", "checkerboard of T1w and FLAIR"):
        assert f'alt="{alt}"' in page
    assert "brain mask made from the voxels of the stripped T1w" in page
    assert "No template is known" in page


def test_the_page_refers_to_nothing_outside_the_folder(tmp_path: Path) -> None:
    page = page_of(tmp_path)
    assert re.findall(r'(?:src|href)="(?!data:|index\.html)', page) == []
    assert "<script" not in page


def test_a_page_is_drawn_again_for_another_template(tmp_path: Path) -> None:
    job = toy_job(tmp_path)
    prepare_subject(job)
    (case,) = job.cases
    assert is_drawn(job, case)
    with_template = toy_job(tmp_path, template={"FLAIR": (0.5, 0.9, 1.2)})
    assert not is_drawn(with_template, case)
    assert "to the template&#39;s (solid)" in page_of(
        tmp_path, template={"FLAIR": (0.5, 0.9, 1.2)}
    ).replace("template's", "template&#39;s")


def test_a_plane_shows_the_world_whatever_grid_the_image_lies_on() -> None:
    """Voxels that hold their own place along x in the common space show x in every plane."""
    turned = np.array([[0, -2.0, 0, 30], [1.5, 0, 0, -20], [0, 0, 3.0, -10], [0, 0, 0, 1]])
    shape = (30, 30, 12)
    index = np.indices(shape).reshape(3, -1)
    world = turned[:3, :3] @ index + turned[:3, 3:]
    move = np.eye(4)
    move[0, 3] = 7  # to the common space: 7 mm to the right
    image = Volume((world[0] + 7).reshape(shape).astype(np.float32), turned)
    window = Window(np.array([0.0, 0.0, 0.0]), np.array([12.0, 10.0, 8.0]), ())
    axial = plane_of(image, move, window, Cut("axial", 5.0))
    np.testing.assert_allclose(axial[:, 3], np.arange(0, 12, STEP_MM), atol=1e-4)
    assert plane_of(image, move, window, Cut("coronal", 5.0)).shape == (15, 10)


def test_the_planes_lie_in_the_brain() -> None:
    brain = np.zeros((20, 20, 20), bool)
    brain[5:15, 5:15, 5:15] = True
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    window = window_on(Volume(brain, affine))
    for cut in window.cuts:
        assert 10 <= cut.place_mm <= 28, "voxels 5 to 14 of 2 mm"
        assert plane_of(Volume(brain, affine), np.eye(4), window, cut).max() == 1


def test_a_checkerboard_takes_squares_by_turns() -> None:
    board = checkerboard(
        np.ones((8, 8), np.float32), np.zeros((8, 8), np.float32), square_mm=2 * STEP_MM
    )
    assert board[:4, :4].tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
