from __future__ import annotations

import gzip
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from common.arrays import FloatArray
from common.errors import GeometryError, SiteDataError
from common.imaging.intake.nifti_header import read_header
from common.imaging.volume import (
    Volume,
    VolumeFault,
    corner_distance_mm,
    read_grid,
    read_labels,
    read_mask,
    read_volume,
    require_finite,
    require_same_grid,
    same_grid,
    write_volume,
)
from tests.volumes import SHAPE, SPACING_MM, oblique_affine, put, stripped_brain, two_lesions

NIFTI: Any = nib.Nifti1Image  # Any, for nibabel types only part of its own functions


def written(path: Path, data: NDArray[Any], affine: FloatArray | None = None) -> Path:
    """A NIfTI file as another program might have left it."""
    image = NIFTI(data, oblique_affine() if affine is None else affine, dtype=data.dtype)
    nib.save(image, path)
    return path


def with_header_bytes(path: Path, offset: int, content: bytes) -> Path:
    """A plain copy of `two_lesions` with `content` written into its header at `offset`."""
    put(two_lesions(), path)
    raw = bytearray(path.read_bytes())
    raw[offset : offset + len(content)] = content
    path.write_bytes(raw)
    return path


def fault_of(path: Path) -> VolumeFault:
    with pytest.raises(VolumeFault, match=path.name) as caught:
        read_volume(path)
    return caught.value


def test_spacing_of_an_oblique_grid_is_not_its_diagonal() -> None:
    volume = two_lesions()
    np.testing.assert_allclose(volume.spacing_mm, SPACING_MM)
    assert not np.allclose(np.diag(volume.affine)[:3], SPACING_MM, atol=0.05)


def test_a_voxel_has_the_volume_the_affine_spans() -> None:
    assert two_lesions().voxel_volume_mm3 == pytest.approx(1.0 * 1.25 * 3.0)
    sheared = np.eye(4)
    sheared[0, 1] = 3.0  # a shear keeps the volume, though the second column is sqrt(10) mm long
    assert Volume(np.zeros((2, 2, 2)), sheared).voxel_volume_mm3 == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("data", "affine", "message"),
    [
        pytest.param(np.zeros((2, 3)), np.eye(4), r"got shape \(2, 3\)", id="2-D"),
        pytest.param(np.zeros((2, 0, 3)), np.eye(4), r"got shape \(2, 0, 3\)", id="no voxel"),
        pytest.param(np.zeros((2, 3, 4)), np.diag([1, 0, 1, 1.0]), "inverted", id="spacing 0"),
        pytest.param(np.zeros((2, 3, 4)), np.eye(3), "4 x 4", id="3 x 3"),
        pytest.param(np.zeros((2, 3, 4)), np.full((4, 4), np.nan), "finite", id="NaN"),
    ],
)
def test_a_volume_without_a_place_is_refused(
    data: NDArray[Any], affine: FloatArray, message: str
) -> None:
    with pytest.raises(GeometryError, match=message):
        Volume(data, affine)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.int64, np.float32, np.float64])
def test_what_is_written_is_read_back_with_type_and_place(tmp_path: Path, dtype: Any) -> None:
    data = np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(dtype) % 200
    path = put(Volume(data, oblique_affine()), tmp_path / "sub 01.v2" / "a.b c_FLAIR.nii.gz")
    stored: Any = nib.load(path)
    assert stored.get_data_dtype() == dtype
    np.testing.assert_array_equal(np.asarray(stored.dataobj), data)
    volume = read_volume(path)
    assert volume.data.dtype == np.float32
    np.testing.assert_array_equal(volume.data, data)
    # one part in 2^24 of a translation of 61.5 mm is 4e-6 mm
    np.testing.assert_allclose(volume.affine, oblique_affine(), atol=4e-6)
    np.testing.assert_allclose(stored.get_sform(), volume.affine, atol=4e-6)
    np.testing.assert_allclose(stored.get_qform(), volume.affine, atol=1e-4)


def test_a_sheared_grid_is_kept_by_the_sform_and_has_no_qform(tmp_path: Path) -> None:
    affine = oblique_affine()
    affine[0, 1] += 0.5
    path = put(Volume(np.ones(SHAPE, np.uint8), affine), tmp_path / "sheared.nii")
    header: Any = nib.load(path).header
    assert int(header["qform_code"]) == 0
    np.testing.assert_allclose(read_volume(path).affine, affine, atol=4e-6)


def test_a_mask_is_stored_as_bytes_of_0_and_1(tmp_path: Path) -> None:
    mask = two_lesions().data > 0
    path = put(Volume(mask, oblique_affine()), tmp_path / "mask.nii.gz")
    assert read_labels(path).data.dtype == np.uint8
    read = read_mask(path).data
    assert read.dtype == np.bool_
    np.testing.assert_array_equal(read, mask)


def test_equal_volumes_give_equal_bytes(tmp_path: Path) -> None:
    one = put(stripped_brain(), tmp_path / "one.nii.gz")
    two = put(stripped_brain(), tmp_path / "two.nii.gz")
    assert one.read_bytes() == two.read_bytes()


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(two_lesions(), tmp_path / "mask.nii.gz")
    before = path.read_bytes()

    def full_disk(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(SiteDataError, match="No space left on device"):
        write_volume(stripped_brain(), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_that_is_not_nifti_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SiteDataError, match=r"want a file name in \.nii\.gz"):
        write_volume(two_lesions(), tmp_path / "mask.mha")


def test_scaling_in_the_header_is_applied(tmp_path: Path) -> None:
    image = NIFTI(np.full(SHAPE, 7, np.int16), oblique_affine())
    image.header.set_slope_inter(0.5, -1)
    (tmp_path / "scaled.nii").write_bytes(image.to_bytes())
    assert np.unique(read_volume(tmp_path / "scaled.nii").data).tolist() == [2.5]  # 7 * 0.5 - 1


def test_what_nibabel_would_mend_is_not_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = with_header_bytes(tmp_path / "x.nii", 252, np.int16(999).tobytes())  # the qform's code
    np.testing.assert_array_equal(read_volume(path).data, two_lesions().data)
    assert capfd.readouterr() == ("", "")


def test_trailing_axes_of_one_are_dropped(tmp_path: Path) -> None:
    path = written(tmp_path / "x.nii", np.ones((*SHAPE, 1, 1), np.float32))
    assert read_volume(path).data.shape == SHAPE


@pytest.mark.parametrize("shape", [(4, 5, 6, 2), (4, 5)])
def test_an_image_of_another_dimension_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    fault = fault_of(written(tmp_path / "x.nii", np.ones(shape, np.float32)))
    assert fault.code == "not-3d"
    assert str(shape) in fault.what


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert fault_of(tmp_path / "no.nii.gz").code == "missing"


@pytest.mark.parametrize("name", ["cut.nii", "cut.nii.gz"])
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_truncated_file_is_recognized(tmp_path: Path, name: str, kept: float) -> None:
    path = put(stripped_brain(), tmp_path / name)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    assert fault_of(path).code == "truncated"


def test_one_flipped_byte_in_a_compressed_file_is_noticed(tmp_path: Path) -> None:
    path = put(stripped_brain(), tmp_path / "flipped.nii.gz")
    content = bytearray(path.read_bytes())
    content[-6] ^= 1  # in gzip's own checksum: the data still unpack
    path.write_bytes(content)
    assert fault_of(path).code == "unreadable"


@pytest.mark.parametrize("content", [b"", b"DICM", b"\x1f\x8b\x08", b"no image " * 100])
def test_a_file_that_is_no_nifti_is_recognized(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.nii.gz"
    path.write_bytes(content)
    assert fault_of(path).code in {"unreadable", "truncated"}


@pytest.mark.parametrize(
    ("offset", "content", "code"),
    [
        pytest.param(344, b"bad\0", "unreadable", id="wrong magic"),
        pytest.param(80, np.float32(0).tobytes(), "bad-affine", id="spacing 0 along i"),
        pytest.param(280, np.zeros(4, "<f4").tobytes(), "bad-affine", id="sform row of zeros"),
        pytest.param(280, np.full(4, np.nan, "<f4").tobytes(), "bad-affine", id="sform of NaN"),
        pytest.param(108, np.float32(1e9).tobytes(), "truncated", id="data far behind the end"),
        pytest.param(108, np.float32(0).tobytes(), "unreadable", id="data over the header"),
        pytest.param(42, np.int16(32000).tobytes(), "truncated", id="more voxels than bytes"),
        pytest.param(42, np.int16(-5).tobytes(), "unreadable", id="negative count of voxels"),
        pytest.param(42, np.int16(0).tobytes(), "unreadable", id="no voxel along i"),
        pytest.param(112, np.array([1, np.inf], "<f4").tobytes(), "unreadable", id="inf added"),
        pytest.param(70, np.int16(999).tobytes(), "unreadable", id="unknown type of voxel"),
        pytest.param(70, np.int16(128).tobytes() + b"\x18\0", "not-grey", id="colour"),
    ],
)
def test_a_damaged_header_is_a_fault_and_not_a_traceback(
    tmp_path: Path, offset: int, content: bytes, code: str
) -> None:
    assert fault_of(with_header_bytes(tmp_path / "x.nii", offset, content)).code == code


def test_a_plain_file_named_gz_is_read_all_the_same(tmp_path: Path) -> None:
    plain = put(stripped_brain(), tmp_path / "x.nii")
    named = tmp_path / "y.nii.gz"
    named.write_bytes(plain.read_bytes())
    np.testing.assert_array_equal(read_volume(named).data, stripped_brain().data)
    packed = tmp_path / "z.nii"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    np.testing.assert_array_equal(read_volume(packed).data, stripped_brain().data)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_voxel_that_is_not_finite_is_counted(tmp_path: Path, value: float) -> None:
    data = stripped_brain().data.copy()
    data[3, 4, 5] = data[0, 0, 0] = value
    path = written(tmp_path / "x.nii.gz", data)
    with pytest.raises(VolumeFault, match="found 2 NaN or infinite voxels"):
        require_finite(read_volume(path), path)


def test_whole_numbers_stored_as_floats_are_labels(tmp_path: Path) -> None:
    path = written(tmp_path / "x.nii", two_lesions().data.astype(np.float64) * 3)
    labels = read_labels(path).data
    assert labels.dtype == np.int32
    assert np.unique(labels).tolist() == [0, 3]


def test_files_of_the_other_byte_order_come_back_in_ours(tmp_path: Path) -> None:
    image = NIFTI(two_lesions().data.astype(">i2"), oblique_affine())
    swapped = image.header.as_byteswapped(">")
    path = tmp_path / "x.nii"
    path.write_bytes(NIFTI(image.dataobj, oblique_affine(), swapped).to_bytes())
    assert path.read_bytes()[:4] == b"\0\0\x01\x5c"  # 348, the largest byte first
    labels = read_labels(path).data
    assert labels.dtype == np.dtype("=i2")
    assert labels.dtype.isnative
    np.testing.assert_array_equal(labels, two_lesions().data)
    np.testing.assert_array_equal(read_volume(path).data, two_lesions().data)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param(0.5, "some of them fractions", id="resampled linearly"),
        pytest.param(-1.0, "between -1 and 1, some of them out of range", id="negative"),
        pytest.param(1e12, "some of them out of range", id="larger than an int32"),
        pytest.param(np.nan, "found NaN or infinity", id="NaN"),
    ],
)
def test_a_mask_of_other_than_labels_is_refused(tmp_path: Path, value: float, message: str) -> None:
    data = two_lesions().data.astype(np.float64)
    data[0, 0, 0] = value
    with pytest.raises(VolumeFault, match=message):
        read_mask(written(tmp_path / "x.nii", data))


@pytest.mark.parametrize("label", [1.00000006, 0.9999999, 0.99991, 3.00009])
def test_a_label_that_is_missed_by_a_rounding_error_counts(tmp_path: Path, label: float) -> None:
    path = written(tmp_path / "x.nii", two_lesions().data * np.float64(label))
    assert np.unique(read_labels(path).data).tolist() == [0, round(label)]
    np.testing.assert_array_equal(read_mask(path).data, two_lesions().data > 0)


def test_a_label_that_is_missed_by_more_is_a_fraction(tmp_path: Path) -> None:
    path = written(tmp_path / "x.nii", two_lesions().data * np.float64(0.9997))
    with pytest.raises(VolumeFault, match=r"Resample masks with nearest neighbour, .* 8-bit"):
        read_labels(path)


def test_a_mask_that_would_round_to_nothing_but_0_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "x.nii", two_lesions().data * np.float64(1 / 65535))  # 1.5e-5
    with pytest.raises(VolumeFault, match=r"between 0 and 1\.52\d*e-05, some of them fractions"):
        read_labels(path)


def test_negative_labels_in_a_file_of_whole_numbers_are_not_told_to_become_whole(
    tmp_path: Path,
) -> None:
    path = written(tmp_path / "x.nii", -two_lesions().data.astype(np.int16))
    with pytest.raises(VolumeFault, match="Save the mask with 0 for background") as caught:
        read_labels(path)
    assert "8-bit" not in caught.value.fix


@pytest.mark.parametrize("error", [RuntimeError("odd"), MemoryError(), KeyError("x")])
def test_whatever_a_library_raises_is_a_fault_of_that_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    path = put(two_lesions(), tmp_path / "x.nii")

    def surprised(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(nib.Nifti1Header, "get_slope_inter", surprised)
    for reader in (read_volume, read_labels, read_mask, read_grid):
        with pytest.raises(VolumeFault, match=r"x\.nii: cannot be read: \S"):
            reader(path)


@given(st.tuples(*[st.floats(-1e-4, 1e-4)] * 3))
def test_grids_a_rounding_error_apart_are_one(offset: tuple[float, float, float]) -> None:
    affine = oblique_affine()
    affine[:3, 3] += offset
    assert same_grid(two_lesions(), Volume(two_lesions().data, affine))


def test_a_small_turn_counts_by_how_far_it_moves_a_corner() -> None:
    # the i axis grows by 0.1 mm a voxel; the far corner is 11 voxels away: 1.1 mm
    affine = oblique_affine()
    affine[:3, 0] *= 1.1
    stretched = Volume(two_lesions().data, affine)
    assert corner_distance_mm(two_lesions(), stretched) == pytest.approx(1.1)
    assert not same_grid(two_lesions(), stretched)
    assert same_grid(two_lesions(), stretched, tolerance_mm=1.2)


def test_two_shapes_are_never_one_grid() -> None:
    cropped = Volume(two_lesions().data[:-1], oblique_affine())
    assert not same_grid(two_lesions(), cropped, tolerance_mm=1e6)


def test_the_error_on_two_grids_prints_both() -> None:
    moved = oblique_affine()
    moved[0, 3] += 2.5
    with pytest.raises(GeometryError, match=r"corners up to 2\.5 mm apart") as caught:
        require_same_grid(
            two_lesions(), Volume(two_lesions().data, moved), a_name="mask", b_name="FLAIR"
        )
    text = str(caught.value)
    assert text.count("shape (12, 14, 8), spacing 1.000 x 1.250 x 3.000 mm") == 2
    assert "-61.5" in text
    assert "-59" in text


def test_of_a_small_image_that_inflates_to_much_little_is_read(tmp_path: Path) -> None:
    path = tmp_path / "bomb.nii.gz"
    write_volume(Volume(np.ones((4, 4, 4), np.float32), oblique_affine()), path)
    whole = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(whole + bytes(256 << 20), 1))
    tracemalloc.start()
    try:
        read = read_volume(path)
        read_header(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert read.data.sum() == 64
    assert peak < 16 << 20


def test_voxels_that_lie_far_behind_the_header_are_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "far.nii.gz"
    write_volume(Volume(np.ones((4, 4, 4), np.float32), oblique_affine()), path)
    content = bytearray(gzip.decompress(path.read_bytes()))
    struct.pack_into("<f", content, 108, float(96 << 20))  # vox_offset
    path.write_bytes(gzip.compress(bytes(content) + bytes(32 << 20), 1))
    with pytest.raises(VolumeFault, match="want voxels from byte 67108864 at most"):
        read_volume(path)
