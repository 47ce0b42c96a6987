from __future__ import annotations

import io

import numpy as np
from PIL import Image

from common.figures.intake_mosaic import intake_mosaic
from common.imaging.volume import Volume
from tests.volumes import oblique_affine, stripped_brain, two_lesions


def pixels(png: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def coloured(png: bytes) -> int:
    """How many pixels are neither black, grey nor white."""
    drawn = pixels(png).astype(int)
    return int(np.count_nonzero(np.ptp(drawn, axis=-1) > 60))


def test_every_modality_has_a_row() -> None:
    one = pixels(intake_mosaic({"FLAIR": stripped_brain()}, None))
    two = pixels(intake_mosaic({"FLAIR": stripped_brain(), "T1w": stripped_brain(seed=1)}, None))
    assert abs(two.shape[0] - 2 * one.shape[0]) <= 1  # whole pixels
    assert two.shape[1] == one.shape[1]


def test_lesions_are_outlined_by_their_affine_and_only_there() -> None:
    far = oblique_affine()
    far[:3, 3] += 500
    images = {"FLAIR": stripped_brain()}
    assert coloured(intake_mosaic(images, two_lesions())) > 50
    assert coloured(intake_mosaic(images, Volume(two_lesions().data, far))) == 0
    assert coloured(intake_mosaic(images, None)) == 0


def test_flat_and_thin_images_are_drawn_all_the_same() -> None:
    flat = Volume(np.zeros((5, 6, 1), np.float32), np.eye(4))
    mask = Volume(np.ones((5, 6, 1), np.uint8), np.eye(4))
    assert pixels(intake_mosaic({"FLAIR": flat}, mask)).any()  # the modality's name is written


def test_values_at_the_end_of_float32_are_drawn_without_a_warning() -> None:
    huge = Volume(stripped_brain().data * np.float32(2e36), oblique_affine())
    assert pixels(intake_mosaic({"FLAIR": huge}, two_lesions())).any()
