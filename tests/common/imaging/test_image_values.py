from __future__ import annotations

import numpy as np
import pytest

from common.arrays import FloatArray
from common.imaging.image_values import ValueFault, value_faults
from common.imaging.volume import Volume
from tests.heads import head
from tests.tissue_brains import brain_of, whole_brain
from tests.volumes import head_in_noise, oblique_affine, stripped_brain


def faults(data: FloatArray, like: Volume) -> list[tuple[str, bool]]:
    image = Volume(data.astype(np.float32), like.affine)
    return [(fault.code, fault.certain) for fault in value_faults(image, None)]


def only(data: FloatArray, like: Volume) -> ValueFault:
    (fault,) = value_faults(Volume(data.astype(np.float32), like.affine), None)
    return fault


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(stripped_brain(), id="stripped"),
        pytest.param(head_in_noise(), id="in noise"),
        pytest.param(head(), id="a head"),
        pytest.param(brain_of("FLAIR"), id="tissues"),
    ],
)
def test_a_magnitude_image_has_no_fault_at_any_gain(image: Volume) -> None:
    for gain in (1e-9, 1.0, 1e9):
        assert faults(image.data * gain, image) == []


def test_a_z_scored_brain_is_certain() -> None:
    image = brain_of("T1w")
    inside = whole_brain()
    values = image.data[inside].astype(np.float64)
    scored = np.zeros(image.data.shape)
    scored[inside] = (values - values.mean()) / values.std()
    assert faults(scored, image) == [("negative", True)]
    assert faults(scored + np.where(inside, 0.0, -3.0), image) == [("negative", True)]


def test_ringing_and_padding_are_no_z_score() -> None:
    image = head()
    ringing = image.data.astype(np.float64) - 2  # 1 % of the bright values of 190
    assert faults(ringing, image) == [("negative", False)]
    padded = image.data.astype(np.float64)
    padded[:5] = -2000  # beyond the scanner's field of view
    assert faults(padded, image) == [("negative", False)]


@pytest.mark.parametrize("bits", [8, 16])
def test_unsigned_values_that_were_read_as_signed_are_certain(bits: int) -> None:
    image = smooth()
    brightest = 1.4 * 2 ** (bits - 1)  # of the largest signed value, which is 2 ** (bits - 1) - 1
    unsigned = np.rint(image.data * brightest).astype(np.int64)
    read = np.where(unsigned < 2 ** (bits - 1), unsigned, unsigned - 2**bits)
    assert faults(read, image) == [("wrapped", True)]
    assert faults(unsigned, image) == []


def test_values_that_were_put_into_8_bits_are_a_warning() -> None:
    image = smooth()
    assert faults(np.rint(image.data * 380).astype(np.int64) % 256, image) == [("wrapped", False)]
    assert faults(np.rint(image.data * 255), image) == []


def test_few_wrapped_voxels_are_certain_too() -> None:
    image = smooth()
    unsigned = np.rint(image.data * 33200).astype(np.int64)
    read = np.where(unsigned < 32768, unsigned, unsigned - 65536)
    assert 20 < np.count_nonzero(read < 0) < 0.01 * np.count_nonzero(read)
    assert faults(read, image) == [("wrapped", True)]


def smooth() -> Volume:
    """A stripped brain from 0.3 at its surface to 1 in the middle."""
    image = brain_of("T1w")
    i, j, k = np.meshgrid(*(np.linspace(-1, 1, n) for n in image.data.shape), indexing="ij")
    data = np.where(whole_brain(), 1 - 0.7 * (i**2 + j**2 + k**2), 0)
    return Volume(data.astype(np.float32), image.affine)


def test_air_that_is_brighter_than_the_head_is_inverted() -> None:
    for image in (head(), stripped_brain(), brain_of("FLAIR")):
        assert faults(image.data.max() - image.data, image) == [("inverted", True)]


def test_a_constant_that_was_added_is_a_warning() -> None:
    image = brain_of("T1w")
    assert faults(image.data + 30000, image) == [("offset", False)]
    assert faults(image.data + 20, image) == []


def test_a_head_at_the_edge_of_the_image_is_no_constant_that_was_added() -> None:
    data = np.full((40, 40, 40), 4.0)
    data[10:30, 10:30, :8] = 300.0  # the vertex, and air above it
    for noise in (np.indices(data.shape).sum(axis=0) % 2, -4.0):  # air of 4 and 5, and of 0
        shown = data + noise
        shown[-1, -1, -1] = 9.0  # no image that was stripped
        fault = only(shown, head())
        assert (fault.code, fault.certain) == ("offset", False)
        assert "the head is hardly in view" in fault.text


def test_a_single_slice_is_certain_along_any_axis() -> None:
    image = brain_of("T1w")
    for axis in range(3):
        one = image.data.take([image.data.shape[axis] // 2], axis=axis)
        assert faults(one, image) == [("single-slice", True)]


def test_a_spinal_cord_may_fill_the_corners() -> None:
    image = head()
    inverted = Volume(image.data.max() - image.data, image.affine)
    assert value_faults(inverted, None, of_head=False) == []


def test_one_value_throughout_is_named() -> None:
    image = stripped_brain()
    assert only(np.full(image.data.shape, 7.0), image).text == "holds nothing but 7"
    label = only((image.data > 0).astype(np.float64), image)
    assert (label.code, label.text) == ("zero-brain", "holds nothing but about 1 in the brain")


def test_values_that_no_scanner_gives_are_certain() -> None:
    image = stripped_brain()
    data = image.data.astype(np.float64)
    data[6, 7, 4] = 1e30
    assert faults(data, image) == [("range", True)]


def test_a_damaged_voxel_is_a_warning() -> None:
    image = stripped_brain()
    data = image.data.astype(np.float64)
    data[6, 7, 4] = 1e6  # the others lie below 150
    assert faults(data, image) == [("outliers", False)]


def test_a_brain_mask_tells_where_to_look() -> None:
    image = head()
    data = image.data.astype(np.float64)
    brain = np.zeros(data.shape, np.bool_)
    brain[5:12, 20:30, 30:40] = True  # beside the middle
    data[brain] -= 150
    faulty = Volume(data.astype(np.float32), image.affine)
    (fault,) = value_faults(faulty, brain)
    assert (fault.code, fault.certain) == ("negative", True)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 9, 9), (9, 9, 1), (2, 2, 2)])
def test_the_smallest_images_raise_nothing(shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(5)
    for data in (rng.uniform(0, 9, shape), rng.integers(-128, 128, shape), np.zeros(shape)):
        value_faults(Volume(np.asarray(data, dtype=np.float32), oblique_affine()), None)
