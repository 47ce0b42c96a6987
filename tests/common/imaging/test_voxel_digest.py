from __future__ import annotations

import hashlib

import numpy as np
import pytest

from common.imaging.volume import Volume
from common.imaging.voxel_digest import voxel_digests
from tests.orders import ORDERS, stored
from tests.volumes import oblique_affine

VALUES = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def test_an_upright_image_has_one_digest_of_its_shape_and_its_float32_values() -> None:
    expected = hashlib.blake2b(b"(2, 3, 4)", digest_size=16)
    expected.update(VALUES.tobytes())
    assert voxel_digests(Volume(VALUES, oblique_affine())) == (expected.digest(),)
    assert voxel_digests(Volume(VALUES.astype(np.int16), oblique_affine())) == (expected.digest(),)


@pytest.mark.parametrize("order", ["LPS", "PIR", "ASR", "SLA"])
def test_in_whatever_order_it_is_stored_the_first_digest_is_that_of_the_upright_image(
    order: str,
) -> None:
    assert order in ORDERS
    upright = Volume(VALUES, oblique_affine())
    first, as_stored = voxel_digests(stored(upright, order))
    assert (first,) == voxel_digests(upright)
    assert as_stored != first


def test_an_image_that_looks_the_same_from_both_ends_has_its_one_digest_once() -> None:
    ones = Volume(np.ones((2, 3, 4), np.float32), oblique_affine())
    mirrored = Volume(ones.data, oblique_affine() @ np.diag([-1.0, 1, 1, 1]))
    assert len(voxel_digests(mirrored)) == 1
    assert voxel_digests(mirrored) == voxel_digests(ones)


def test_minus_zero_and_the_many_kinds_of_nan_are_one_value_each() -> None:
    other_nan = np.array([0x7FC00001], np.uint32).view(np.float32)[0]
    one = np.array([[[0.0, np.nan]]], np.float32)
    other = np.array([[[-0.0, other_nan]]], np.float32)
    assert voxel_digests(Volume(one, np.eye(4))) == voxel_digests(Volume(other, np.eye(4)))
