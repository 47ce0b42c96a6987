from __future__ import annotations

import numpy as np
import pytest

from common.imaging.intake.face import face_of, faces_are_reported
from common.imaging.volume import Volume
from tests.heads import head
from tests.opened import opened
from tests.volumes import head_in_noise, stripped_brain


def test_a_front_that_reaches_the_chin_is_a_face() -> None:
    assert face_of(head()) == "shown"


def test_a_front_that_recedes_below_the_brow_is_a_removed_face() -> None:
    assert face_of(head(face=False)) == "removed"


def test_an_image_that_ends_above_the_nose_has_no_face_in_view() -> None:
    image = head()
    affine = image.affine.copy()
    affine[2, 3] += 4.0 * 30
    assert face_of(Volume(image.data[:, :, 30:], affine)) == "not in view"  # 104 of 224 mm


@pytest.mark.parametrize("shown_mm", [4, 12, 36, 40, 44, 80, 100])
def test_a_head_whose_top_alone_is_in_view_has_no_face_and_ends_nothing(shown_mm: int) -> None:
    image = head()
    top = int(np.flatnonzero(image.data.any(axis=(0, 1)))[-1])
    first = top + 1 - shown_mm // 4
    affine = image.affine.copy()
    affine[2, 3] += 4.0 * first
    assert face_of(Volume(image.data[:, :, first:], affine)) == "not in view"


def test_a_stripped_or_empty_image_has_no_face_in_view() -> None:
    assert face_of(stripped_brain()) == "not in view"
    assert face_of(Volume(np.zeros((9, 9, 9), np.float32), np.eye(4))) == "not in view"
    assert face_of(head_in_noise()) == "not in view"


def test_faces_are_listed_and_said_to_be_a_heuristic() -> None:
    case = opened(FLAIR=head(), T1w=head(face=False), T2w=head())
    shown, removed = faces_are_reported(case)
    assert (shown.code, removed.code) == ("face-shown", "face-removed")
    assert shown.text.startswith("FLAIR, T2w: what looks like a face")
    assert removed.text.startswith("T1w: the face seems to be removed")
    assert "heuristic" in shown.text
    assert "heuristic" in removed.text
