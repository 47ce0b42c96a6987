from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import DTypeLike, NDArray

from common.errors import SiteDataError
from common.metrics.mask import least_voxels, lesion_mask


def values(*first: float, dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """A (4, 3, 2) image that begins, i fastest, with these values and is 0 elsewhere."""
    flat = np.zeros(24, dtype=dtype)
    flat[: len(first)] = first
    return flat.reshape((4, 3, 2), order="F")


@pytest.mark.parametrize("dtype", ["bool", "u1", "i1", "i2", "u4", "i8", "f2", "f4", "f8", ">i2"])
def test_whole_numbers_of_any_type_are_a_mask(dtype: str) -> None:
    mask, notes = lesion_mask(values(0, 1, 1, dtype=dtype), name="reference")
    assert mask.dtype == np.bool_
    assert np.flatnonzero(mask.ravel(order="F")).tolist() == [1, 2]
    assert notes == []


def test_a_mask_stored_as_0_and_255_needs_no_note() -> None:
    mask, notes = lesion_mask(values(255, 0, 255, dtype="u1"), name="reference")
    assert np.count_nonzero(mask) == 2
    assert notes == []


@pytest.mark.parametrize("threshold", [None, 0.5])
def test_a_rounding_error_away_from_a_whole_number_is_that_number(threshold: float | None) -> None:
    written = values(1.00000006, 0.9999999, 2.00009, -1e-5, dtype=np.float64)
    mask, notes = lesion_mask(written, name="reference", threshold=threshold)
    assert np.flatnonzero(mask.ravel(order="F")).tolist() == [0, 1, 2]
    assert notes == ["reference: 2 labels (1, 2) taken together as lesion"]


def test_more_than_a_rounding_error_is_a_fraction() -> None:
    with pytest.raises(SiteDataError, match="with fractions"):
        lesion_mask(values(1, 0.9997), name="reference")


def test_a_threshold_within_the_rounding_error_is_put_on_the_values_as_they_are() -> None:
    mask, _ = lesion_mask(values(2e-5, 8e-5, 1), name="prediction", threshold=5e-5)
    assert np.flatnonzero(mask.ravel(order="F")).tolist() == [1, 2]


def test_several_labels_become_one_with_a_note() -> None:
    mask, notes = lesion_mask(values(2, 0, 1, 7), name="reference")
    assert np.count_nonzero(mask) == 3
    assert notes == ["reference: 3 labels (1, 2, 7) taken together as lesion"]


def test_labels_below_0_are_lesion_with_a_note() -> None:
    mask, notes = lesion_mask(values(-1, 0, 1, dtype="i1"), name="reference")
    assert np.count_nonzero(mask) == 2
    assert notes[-1] == "reference: labels below 0, as low as -1, taken as lesion too"
    assert len(lesion_mask(values(-1, dtype="f4"), name="reference")[1]) == 1


def test_lesion_in_more_than_half_of_the_voxels_is_a_note() -> None:
    half = values(*[1] * 12)  # of 24
    assert lesion_mask(half, name="reference")[1] == []
    (note,) = lesion_mask(values(*[1] * 13), name="reference")[1]
    assert note == "reference: lesion in more than half of all voxels: is the mask inverted?"


def test_fractions_are_refused_without_a_threshold() -> None:
    with pytest.raises(
        SiteDataError,
        match=r"prediction: want a mask of whole numbers, found values between 0 and 0\.75",
    ):
        lesion_mask(values(0.25, 0.75), name="prediction")


def test_a_probability_is_lesion_above_the_threshold_and_not_at_it() -> None:
    mask, notes = lesion_mask(values(0.25, 0.5, 0.75), name="prediction", threshold=0.5)
    assert np.flatnonzero(mask.ravel(order="F")).tolist() == [2]
    assert notes == ["prediction: a probability map; lesion is above 0.5"]


@pytest.mark.parametrize(
    ("least", "most"),
    [
        pytest.param(0.0, 96.5, id="percent"),
        pytest.param(-7.5, 0.75, id="before the sigmoid"),
        pytest.param(0.0, 254.5, id="0 to 255"),
    ],
)
def test_a_threshold_for_values_that_are_no_probabilities_is_a_note(
    least: float, most: float
) -> None:
    _, notes = lesion_mask(values(least, 0.5, most), name="prediction", threshold=0.5)
    assert f"values between {least:g} and {most:g} are no probabilities" in notes[1]


def test_a_probability_may_overshoot_as_a_spline_does() -> None:
    mask, notes = lesion_mask(values(-0.07, 1.09, 0.4), name="prediction", threshold=0.5)
    assert np.flatnonzero(mask.ravel(order="F")).tolist() == [1]
    assert len(notes) == 1


def test_a_threshold_that_is_not_put_on_a_map_in_percent_is_a_note() -> None:
    percent = values(*range(0, 55, 5), 99, dtype="u1")  # 0, 5 .. 50 and 99: eleven above 0
    mask, notes = lesion_mask(percent, name="prediction", threshold=0.5)
    assert np.count_nonzero(mask) == 11
    assert "the threshold of 0.5 is not put on whole numbers" in notes[1]
    assert len(lesion_mask(percent, name="prediction")[1]) == 1
    assert len(lesion_mask(percent.clip(0, 10), name="prediction", threshold=0.5)[1]) == 1


def test_values_that_all_round_to_0_are_no_mask_without_lesions() -> None:
    with pytest.raises(SiteDataError, match="found values between 0 and 2e-05 with fractions"):
        lesion_mask(values(2e-5, 1e-5), name="reference")
    mask, notes = lesion_mask(values(2e-5, 1e-5), name="prediction", threshold=0.5)
    assert not mask.any()
    assert notes == ["prediction: a probability map; lesion is above 0.5"]


def test_a_threshold_leaves_whole_numbers_alone() -> None:
    mask, _ = lesion_mask(values(1, 0, 1), name="reference", threshold=1.0)
    assert np.count_nonzero(mask) == 2


@pytest.mark.parametrize(
    ("everywhere", "threshold"), [(1.0, None), (4.0, None), (0.75, 0.5)], ids=str
)
def test_a_constant_image_counts_as_empty(everywhere: float, threshold: float | None) -> None:
    image = np.full((4, 3, 2), everywhere, dtype=np.float32)
    mask, notes = lesion_mask(image, name="prediction", threshold=threshold)
    assert not mask.any()
    assert "lesion in every voxel, which marks nothing; counted as empty" in notes[-1]


def test_an_image_of_zeros_is_empty_without_a_note() -> None:
    mask, notes = lesion_mask(values(), name="reference")
    assert not mask.any()
    assert notes == []


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused(bad: float) -> None:
    with pytest.raises(SiteDataError, match="found 2 NaN or infinite voxels"):
        lesion_mask(values(1, bad, bad), name="reference")


def test_complex_numbers_are_refused() -> None:
    with pytest.raises(SiteDataError, match="reference: want real numbers, found type complex64"):
        lesion_mask(values(1, dtype=np.complex64), name="reference")


def test_the_image_itself_is_not_changed() -> None:
    image = np.full((4, 3, 2), 1, dtype=np.uint8)
    lesion_mask(image, name="reference")
    assert (image == 1).all()


@pytest.mark.parametrize(
    ("smallest_mm3", "voxel_mm3", "expected"),
    [
        pytest.param(0.0, 1.0, 1, id="nothing is dropped"),
        pytest.param(3.0, 1.0, 3, id="exactly three voxels are enough"),
        pytest.param(6.0, 0.9 * 0.9 * 3.0, 3, id="two are 4.86 mm3, three 7.29"),
        pytest.param(3.0, 5.0, 1, id="a voxel is larger"),
        pytest.param(0.1 * 3, 0.1, 3, id="three, and 3.0000000000000004 in floats"),
    ],
)
def test_a_lesion_of_exactly_the_smallest_volume_is_kept(
    smallest_mm3: float, voxel_mm3: float, expected: int
) -> None:
    assert least_voxels(smallest_mm3, voxel_mm3) == expected
