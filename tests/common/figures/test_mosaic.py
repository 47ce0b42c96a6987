from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from common.arrays import BoolArray, Float32Array, FloatArray
from common.errors import GeometryError
from common.figures.mosaic import lesion_mosaic

SHAPE = (20, 24, 12)
SPACING_MM = (1.0, 2.0, 5.0)  # anisotropic: a brain of 16 x 20 voxels is 16 mm wide, 40 mm long
REFERENCE_BLUE = (0x56, 0xD4, 0xF5)
FOUND_GREEN = (0x22, 0xB8, 0x8C)
EXTRA_YELLOW = (0xFF, 0xF0, 0x7A)
MISSED_PINK = (0xFF, 0x8F, 0xC2)


def flair() -> Float32Array:
    """A grey block of brain in an empty field, brighter to the patient's right."""
    image = np.zeros(SHAPE, np.float32)
    image[2:18, 2:22, 1:11] = 100 + 5 * np.arange(16)[:, None, None]
    return image


def empty() -> BoolArray:
    return np.zeros(SHAPE, bool)


def lesions_in(*slices: int, n_voxels: int = 4) -> BoolArray:
    """`n_voxels` lesion voxels in a row in each of these axial slices."""
    mask = empty()
    for k in slices:
        mask[5 : 5 + n_voxels, 8, k] = True
    return mask


def colours(png: bytes) -> NDArray[np.int16]:
    """(rows, columns, 3)"""
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), np.int16)


def painted(png: bytes, colour: tuple[int, int, int], *, tolerance: int = 12) -> BoolArray:
    """(rows, columns): where the picture has this colour, up to the palette's rounding.

    tolerance   of each channel, of 255; thin lines blend with what is under them
    The legend at the foot has every colour: it is cut off.
    """
    pixels = colours(png)
    pixels = pixels[: len(pixels) - 90]
    near: BoolArray = np.abs(pixels - np.array(colour)).max(axis=2) <= tolerance
    return near


def draw(reference: BoolArray | None, prediction: BoolArray, title: str = "case") -> bytes:
    return lesion_mosaic(
        {"FLAIR": flair()}, reference, prediction, spacing_mm=SPACING_MM, title=title
    )


def test_found_extra_and_missed_voxels_have_a_colour_each() -> None:
    reference, prediction = empty(), empty()
    reference[4:8, 5:8, 5] = True
    prediction[6:10, 5:8, 5] = True  # (6, 7) found, (8, 9) extra, (4, 5) missed

    png = draw(reference, prediction)

    areas = [painted(png, c).sum() for c in (FOUND_GREEN, EXTRA_YELLOW, MISSED_PINK)]
    assert min(areas) > 0
    np.testing.assert_allclose(areas, np.mean(areas), rtol=0.25)  # two columns of voxels each


def test_the_patients_right_is_on_the_left_of_the_picture_and_anterior_is_up() -> None:
    right_front, left_back = empty(), empty()
    right_front[14:17, 17:20, 5] = True  # high i is right, high j is front
    left_back[3:6, 4:7, 5] = True

    png = draw(right_front, left_back)

    missed, extra = painted(png, MISSED_PINK), painted(png, EXTRA_YELLOW)
    panel = np.argwhere(missed)[:, 1].max() + 200  # both lie in one panel
    rows_missed, columns_missed = np.argwhere(missed)[:, 0], np.argwhere(missed)[:, 1]
    rows_extra, columns_extra = np.argwhere(extra)[:, 0], np.argwhere(extra)[:, 1]
    assert columns_missed.max() < columns_extra.min() < panel
    assert rows_missed.max() < rows_extra.min()


def test_a_voxel_is_drawn_with_the_proportions_it_has_in_mm() -> None:
    prediction = empty()
    prediction[6:12, 8:14, 5] = True  # 6 voxels of 1 mm wide, 6 voxels of 2 mm long

    where = np.argwhere(painted(draw(empty(), prediction), EXTRA_YELLOW))

    length, width = where.max(axis=0) - where.min(axis=0) + 1
    assert length / width == pytest.approx(2.0, rel=0.1)


def test_the_reference_is_outlined_not_filled() -> None:
    reference = empty()
    reference[5:15, 5:15, 5] = True

    where = painted(draw(reference, empty()), REFERENCE_BLUE, tolerance=60)

    rows, columns = np.nonzero(where)
    middle = where[(rows.min() + rows.max()) // 2, columns.min() : columns.max() + 1]
    assert middle[0]
    assert middle[-1]
    assert middle.mean() < 0.3


def test_without_a_reference_its_row_is_left_out() -> None:
    with_row = colours(draw(empty(), lesions_in(5)))
    without = colours(draw(None, lesions_in(5)))

    assert len(with_row) - len(without) > 200


def test_the_earlier_date_has_a_row_of_its_own_in_the_grey_window_of_the_later() -> None:
    later = flair()
    inside = later > 0
    twice = {"FLAIR, earlier date": np.where(inside, 50, 0), "FLAIR, later date": later}
    alone = colours(draw(None, empty()))

    both = colours(lesion_mosaic(twice, None, empty(), spacing_mm=SPACING_MM, title="case"))

    assert len(both) - len(alone) > 200
    # 50 is below everything of the later date, so it is black there; a panel is 2.1 in high, and
    # the first begins 0.62 in below the top, at 130 dots an inch
    first_row, second_row = both[90:340, 60:], both[370:610, 60:]
    assert first_row[60:200].max() < 10
    assert second_row[60:200].max() > 200


def test_a_title_is_not_read_as_mathematics() -> None:
    assert draw(empty(), empty(), "cost $5 or $6_$ < site_a").startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(np.zeros(SHAPE), id="nothing but 0"),
        pytest.param(np.full(SHAPE, np.nan), id="nothing but NaN"),
        pytest.param(-flair(), id="negative, as after a z-score"),
    ],
)
def test_an_odd_image_still_has_its_picture(image: FloatArray) -> None:
    png = lesion_mosaic(
        {"FLAIR": image}, empty(), lesions_in(3), spacing_mm=SPACING_MM, title="odd"
    )

    assert painted(png, EXTRA_YELLOW).any()


def test_a_lesion_outside_the_brain_mask_is_not_cut_off() -> None:
    brain, prediction = empty(), empty()
    brain[8:12, 8:12, 2:10] = True
    prediction[0, 0, 5] = True

    png = lesion_mosaic(
        {"FLAIR": flair()},
        None,
        prediction,
        spacing_mm=SPACING_MM,
        title="stray",
        brain=brain,
    )

    assert painted(png, EXTRA_YELLOW).any()


def test_masks_on_another_grid_are_refused() -> None:
    with pytest.raises(GeometryError, match=r"one \(i, j, k\) grid.*Resample the masks"):
        draw(np.zeros((20, 24, 11), bool), empty())


@pytest.mark.parametrize("spacing_mm", [(1.0, 0.0, 5.0), (1.0, -2.0, 5.0), (1.0, np.nan, 5.0)])
def test_a_spacing_that_is_not_above_0_is_refused(spacing_mm: tuple[float, float, float]) -> None:
    with pytest.raises(GeometryError, match="three spacings above 0 mm"):
        lesion_mosaic({"FLAIR": flair()}, None, empty(), spacing_mm=spacing_mm, title="")
