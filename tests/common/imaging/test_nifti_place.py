from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from common.arrays import FloatArray
from common.imaging.file_note import FileNote
from common.imaging.volume import Volume, VolumeFault, noted, read_grid, read_mask, read_volume
from tests.nifti_headers import header_bytes, write_nifti
from tests.volumes import SPACING_MM, oblique_affine

DATA = np.ones((4, 5, 6), np.int16)
LEFT = np.diag([-1.0, 1.25, 3.0, 1.0])


def read(tmp_path: Path, **fields: object) -> Volume:
    """The image as read, having seen that the grid alone is read to the same end."""
    path = write_nifti(tmp_path / "x.nii.gz", DATA, **fields)
    volume, grid = read_volume(path), read_grid(path)
    np.testing.assert_array_equal(volume.affine, grid.affine)
    assert volume.data.shape == grid.data.shape
    assert volume.notes == grid.notes
    return volume


def only(volume: Volume) -> FileNote:
    (note,) = volume.notes
    assert note.fix.endswith(".")
    return note


def turned_about_i(degrees: float) -> FloatArray:
    turn, angle = np.eye(4), np.deg2rad(degrees)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return turn


def test_a_header_that_agrees_with_itself_has_no_note(tmp_path: Path) -> None:
    volume = read(tmp_path, sform=oblique_affine(), pixdim=SPACING_MM)
    assert volume.notes == ()
    np.testing.assert_allclose(volume.affine, oblique_affine(), atol=1e-5)


@pytest.mark.parametrize("length", [1 + 1e-6, 1.0008])
def test_a_quaternion_longer_than_1_by_rounding_is_shortened(tmp_path: Path, length: float) -> None:
    # (0, length, 0) is half a turn about j: i runs to the left, k downwards
    fields = {"quaternion": (0, length, 0), "sform_code": 0, "qform_code": 1}
    volume = read(tmp_path, **fields, offset_mm=(7, -8, 9), pixdim=SPACING_MM)
    expected = np.diag([-1, 1.25, -3, 1.0])
    expected[:3, 3] = (7, -8, 9)
    np.testing.assert_allclose(volume.affine, expected, atol=1e-6)
    assert [note.code for note in volume.notes] == (["quaternion"] if length > 1.0001 else [])


@pytest.mark.parametrize("b", [1.1, float("nan"), float("inf")])
def test_a_quaternion_that_is_none_is_a_fault_of_that_file(tmp_path: Path, b: float) -> None:
    path = write_nifti(tmp_path / "x.nii", DATA, quaternion=(b, 0, 0), sform_code=0, qform_code=1)
    for reader in (read_volume, read_grid, read_mask):
        with pytest.raises(VolumeFault, match="want a quaternion of length 1") as caught:
            reader(path)
        assert caught.value.code == "bad-affine"


def test_where_a_sform_counts_a_bad_qform_is_a_note(tmp_path: Path) -> None:
    volume = read(tmp_path, sform=LEFT, pixdim=SPACING_MM, quaternion=(2, 0, 0), qform_code=1)
    assert only(volume).code == "bad-qform"
    np.testing.assert_array_equal(volume.affine, LEFT)


def test_two_forms_that_name_two_places_are_both_told(tmp_path: Path) -> None:
    sform = turned_about_i(12) @ np.diag([1.0, 1.25, 3, 1])
    sform[1, 3] = -25
    volume = read(tmp_path, sform=sform, pixdim=SPACING_MM, qform_code=1)
    note = only(volume)
    assert (note.level, note.code) == ("warning", "two-places")
    assert "turned by 12 degrees" in note.text
    assert note.text.endswith("the sform is used")
    np.testing.assert_allclose(volume.affine, sform, atol=1e-5)


def test_how_far_apart_two_forms_are_is_told_of_the_farthest_corner(tmp_path: Path) -> None:
    sform = np.diag([1.0, 1.25, 3, 1])
    sform[:3, 3] = (3, 0, -4)  # 5 mm from the qform's, which starts in the origin
    note = only(read(tmp_path, sform=sform, pixdim=SPACING_MM, qform_code=1))
    assert "corners up to 5 mm apart, turned by 0 degrees" in note.text
    # the middle: (3 * 1 / 2, 4 * 1.25 / 2, 5 * 3 / 2) = (1.5, 2.5, 7.5)
    assert "sform: axes RAS, middle at (4.5, 2.5, 3.5) mm" in note.text
    assert "qform: axes RAS, middle at (1.5, 2.5, 7.5) mm" in note.text


def test_a_mirrored_form_is_called_so(tmp_path: Path) -> None:
    note = only(read(tmp_path, sform=LEFT, pixdim=SPACING_MM, qform_code=2))
    assert "one mirrored against the other" in note.text
    assert "sform: axes LAS" in note.text
    assert "qform: axes RAS" in note.text


def test_a_qform_that_float32_turns_a_little_is_the_same_place(tmp_path: Path) -> None:
    # half a turn about k, and 1e-4 about i: (b, c, d) = (0, 5e-5, 1), of which a is 0
    sform = turned_about_i(np.rad2deg(1e-4)) @ np.diag([-1, -1.25, 3, 1.0])
    fields = {"quaternion": (0, 0, 1), "qform_code": 1, "pixdim": SPACING_MM}
    assert read(tmp_path, sform=sform, **fields).notes == ()


def test_pixdim_against_the_axes_is_told_with_both_and_the_volume(tmp_path: Path) -> None:
    volume = read(tmp_path, sform=np.diag([-1, 1, 1, 1.0]), pixdim=(1.2, 1.2, 6.0))
    note = only(volume)
    assert (note.level, note.code) == ("warning", "two-spacings")
    assert "pixdim says 1.2 x 1.2 x 6 mm, the sform 1 x 1 x 1 mm, which is used" in note.text
    assert "8.64 times the volume" in note.text  # 1.2 * 1.2 * 6
    np.testing.assert_array_equal(volume.spacing_mm, 1)


@pytest.mark.parametrize(
    ("part", "level"),
    [
        pytest.param(1 + 1e-6, None, id="a float32 rounded twice"),
        pytest.param(1 + 1e-3, "note", id="three decimals"),
        pytest.param(1.02, "warning", id="another protocol"),
    ],
)
def test_a_rounded_pixdim_is_less_than_another_one(
    tmp_path: Path, part: float, level: str | None
) -> None:
    volume = read(tmp_path, sform=LEFT, pixdim=(1.0, 1.25 * part, 3.0))
    assert [note.level for note in volume.notes] == ([] if level is None else [level])


def test_without_codes_nobody_knows_where_left_is(tmp_path: Path) -> None:
    volume = read(tmp_path, sform=oblique_affine(), sform_code=0, pixdim=SPACING_MM)
    note = only(volume)
    assert (note.level, note.code) == ("warning", "no-place")
    assert "which side is left are unknown" in note.text
    # the middle of 4 x 5 x 6 voxels in the origin: i runs from 1.5 to -1.5 mm
    np.testing.assert_allclose(volume.affine[:3, 3], [1.5, -2.5, -7.5])
    np.testing.assert_allclose(np.diag(volume.affine)[:3], [-1, 1.25, 3])


@pytest.mark.parametrize(("code", "used"), [(6, True), (-1, False)])
def test_a_code_that_nifti_has_not_is_told(tmp_path: Path, code: int, used: bool) -> None:
    volume = read(tmp_path, sform=oblique_affine(), sform_code=code, pixdim=SPACING_MM)
    told = [note.text for note in volume.notes if note.code == "form-code"]
    assert len(told) == 1
    assert f"the sform has the code {code}" in told[0]
    assert ("it is used" in told[0]) is used
    if used:
        np.testing.assert_allclose(volume.affine, oblique_affine(), atol=1e-5)


@pytest.mark.parametrize(
    ("units", "mm", "code"),
    [
        pytest.param(1, 1000, "unit", id="metres"),
        pytest.param(2, 1, None, id="mm"),
        pytest.param(3, 0.001, "unit", id="micrometres"),
        pytest.param(0, 1, None, id="unknown is mm"),
        pytest.param(10, 1, None, id="mm and seconds"),
        pytest.param(5, 1, "unit", id="no unit of NIfTI"),
    ],
)
def test_lengths_are_converted_to_mm(
    tmp_path: Path, units: int, mm: float, code: str | None
) -> None:
    by_sform = read(tmp_path, sform=oblique_affine(), pixdim=SPACING_MM, units=units)
    np.testing.assert_allclose(by_sform.affine[:3], oblique_affine()[:3] * mm, rtol=1e-6)
    fields = {"quaternion": (0, 0, 1), "offset_mm": (1, 2, 3), "sform_code": 0, "qform_code": 1}
    by_qform = read(tmp_path, **fields, pixdim=SPACING_MM, units=units)
    # half a turn about k
    expected = np.array([[-1, 0, 0, 1], [0, -1.25, 0, 2], [0, 0, 3, 3.0]]) * mm
    np.testing.assert_allclose(by_qform.affine[:3], expected, rtol=1e-6, atol=1e-9)
    for volume in (by_sform, by_qform):
        assert [note.code for note in volume.notes] == ([] if code is None else [code])


def test_a_qfac_that_is_no_sign_is_told_and_its_sign_taken(tmp_path: Path) -> None:
    volume = read(tmp_path, sform_code=0, qform_code=1, qfac=-2, pixdim=SPACING_MM)
    assert only(volume).code == "qfac"
    np.testing.assert_allclose(np.diag(volume.affine), [1, 1.25, -3, 1])


def test_a_spacing_below_0_is_told_and_its_sign_dropped(tmp_path: Path) -> None:
    signed = (SPACING_MM[0], -SPACING_MM[1], SPACING_MM[2])
    by_sform = read(tmp_path, sform=oblique_affine(), pixdim=signed)
    np.testing.assert_allclose(by_sform.affine, oblique_affine(), atol=1e-5)
    assert "1 x -1.25 x 3 mm" in only(by_sform).text
    fields = {"quaternion": (0, 0, 0), "offset_mm": (1, 2, 3), "sform_code": 0, "qform_code": 1}
    by_qform = read(tmp_path, **fields, pixdim=signed)
    np.testing.assert_allclose(by_qform.affine[:3, :3], np.diag(SPACING_MM))
    assert (only(by_sform).level, only(by_qform).level) == ("note", "warning")


def test_skew_axes_are_told(tmp_path: Path) -> None:
    skew = np.diag([1.0, 1.25, 3, 1])
    skew[0, 1] = 0.75  # the second axis is sqrt(0.75^2 + 1.25^2) = 1.4577 mm long; cosine 0.5145
    volume = read(tmp_path, sform=skew, pixdim=(1.0, 1.4577379, 3.0))
    note = only(volume)
    assert (note.level, note.code) == ("warning", "skew")
    assert "(cosine 0.514)" in note.text
    assert "a voxel has 0.8575 of the product" in note.text  # 1.25 / 1.4577


def test_one_note_on_several_files_is_told_once_with_their_names(tmp_path: Path) -> None:
    volume = read(tmp_path, sform=oblique_affine(), sform_code=0, pixdim=SPACING_MM)
    plain = read(tmp_path, sform=oblique_affine(), pixdim=SPACING_MM)
    ((note, text),) = noted({"FLAIR": volume, "T1w": plain, "lesion mask": volume})
    assert note == volume.notes[0]
    assert text == f"FLAIR, lesion mask: {note.text}"


def outcome(reader: Callable[[Path], Volume], path: Path) -> Volume | VolumeFault:
    try:
        return reader(path)
    except VolumeFault as fault:
        return fault


def test_the_grid_alone_is_the_grid_of_the_volume_whatever_the_header(tmp_path: Path) -> None:
    """Random bytes into random places of the header: one fault, or one grid with its notes."""
    path = tmp_path / "x.nii"
    faults = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        content = bytearray(header_bytes(DATA, sform=LEFT, pixdim=SPACING_MM, qform_code=1))
        for place in rng.integers(40, 348, int(rng.integers(1, 12))):
            content[place] = int(rng.choice([0, 1, 63, 127, 128, 191, 255, int(rng.integers(256))]))
        path.write_bytes(bytes(content) + DATA.tobytes(order="F") + bytes(2000))
        grid, volume = outcome(read_grid, path), outcome(read_volume, path)
        if isinstance(grid, VolumeFault):
            faults += 1
            assert str(volume) == str(grid), seed
        elif isinstance(volume, VolumeFault):
            assert volume.code in ("truncated", "unreadable"), seed  # the voxels are elsewhere
        else:
            np.testing.assert_array_equal(volume.affine, grid.affine)
            assert volume.data.shape == grid.data.shape
            assert volume.notes[: len(grid.notes)] == grid.notes
    assert 20 < faults < 180
