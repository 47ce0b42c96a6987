"""Where a NIfTI header places its image, in mm, and what it says against itself.

The sform places the image where it has a code above 0, else the qform, else nothing does.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from nibabel import orientations, quaternions

from common.arrays import FloatArray
from common.imaging.file_note import FileNote

_QUATERNIONS: Any = quaternions  # Any, for nibabel has not typed them
_AXES: Any = orientations

QUATERNION_TOLERANCE = 1e-3
"""How much longer than 1 a quaternion may be, which is then shortened to 1: three decimals, the
fewest that a header written as text has. Within it the direction is sure to 0.1 degrees."""

ROUNDING = 1e-6
"""Part by which float32 fields differ that were meant to be alike."""

SPACING_TOLERANCE = 2e-5
"""Part by which pixdim and the axes may differ unsaid: three axes then differ by less than 1e-4 in
volume."""

SPACING_ALARM = 0.01
"""Part from which they differ by more than a writer's rounding; chosen."""

TURN_TOLERANCE = 1e-3
"""Angle between two forms, in radians, that is none: the three float32 numbers of a qform near half
a turn tell angles no finer than 7e-4."""

SKEW_COSINE = 1e-3
"""Axes whose cosine is larger are skew."""

NIFTI_CODES = range(6)
_UNITS = {1: ("metres", 1e3), 3: ("micrometres", 1e-3)}
_RECONVERT = "Convert the image again from DICOM with dcm2niix."


def place_of(header: Any, shape: tuple[int, int, int]) -> tuple[FloatArray, tuple[FileNote, ...]]:
    """Voxel index -> RAS+ world, (4, 4), mm, and notes on what contradicts it.

    header   nibabel's, as it is on disk, before anything in it is repaired
    ValueError where the form that counts names no place: a spacing of 0, NaN, a quaternion far
    longer than 1.
    """
    with np.errstate(all="ignore"):  # what is not finite is told apart below
        on_disk = np.asarray(header["pixdim"][1:4], dtype=np.float64)
        mm, notes = _unit(header)
        spacing = np.abs(on_disk) * mm
        if not (np.isfinite(spacing).all() and (spacing != 0).all()):
            raise ValueError(
                f"want a spacing above 0 mm along each axis, the header says {on_disk.tolist()}"
            )
        sform_code, qform_code = int(header["sform_code"]), int(header["qform_code"])
        if sform_code > 0:
            affine, used = _sform(header, mm), "sform"
        elif qform_code > 0:
            affine, used = _qform(header, spacing, mm), "qform"
            notes += _qform_notes(header)
        else:
            affine, used = _nowhere(shape, spacing), "pixdim"
            notes.append(_NO_PLACE)
        notes += _codes(sform_code, qform_code, used)
        if (on_disk < 0).any():
            notes.append(_signed(on_disk, used))
        if np.isfinite(affine).all() and np.linalg.det(affine[:3, :3]) != 0:  # else it is a fault
            if sform_code > 0 and qform_code > 0:
                notes += _forms_agree(header, affine, spacing, mm, shape)
            notes += _spacing_agrees(affine, spacing, used)
            notes += _square(affine)
    return affine, tuple(notes)


def _unit(header: Any) -> tuple[float, list[FileNote]]:
    """mm in one of the header's lengths; unknown is mm, as every tool takes it."""
    code = int(header["xyzt_units"]) & 7
    if code in _UNITS:
        name, mm = _UNITS[code]
        text = f"the header gives lengths in {name}; converted to mm"
        fix = "Nothing to do where spacing and size are those of a head; else correct the unit."
        return mm, [FileNote(level="note", code="unit", text=text, fix=fix)]
    if code in (0, 2):
        return 1.0, []
    text = f"the unit of length has the code {code}, none of NIfTI's; taken as mm"
    fix = "Check the spacing, and write the unit mm (xyzt_units 2) into the header."
    return 1.0, [FileNote(level="warning", code="unit", text=text, fix=fix)]


def _sform(header: Any, mm: float) -> FloatArray:
    affine = np.eye(4)
    affine[:3] = [np.asarray(header[row], np.float64) for row in ("srow_x", "srow_y", "srow_z")]
    affine[:3] *= mm
    return affine


def _qform(header: Any, spacing: FloatArray, mm: float) -> FloatArray:
    """ValueError where the quaternion is none; one a little too long is shortened to 1."""
    bcd = np.array([float(header[f"quatern_{part}"]) for part in "bcd"])
    squared = float(bcd @ bcd)
    if not squared <= (1 + QUATERNION_TOLERANCE) ** 2:  # NaN fails as well
        raise ValueError(
            "want a quaternion of length 1 in the qform, found one of length "
            f"{math.sqrt(squared):.6g} ({', '.join(f'{part:.6g}' for part in bcd)})"
        )
    if squared > 1:
        bcd, squared = bcd / math.sqrt(squared), 1.0
    turn = _QUATERNIONS.quat2mat([math.sqrt(max(0.0, 1 - squared)), *bcd])
    affine = np.eye(4)
    affine[:3, :3] = turn * spacing
    if float(header["pixdim"][0]) < 0:  # qfac; 0 counts as 1 in NIfTI's own words
        affine[:3, 2] *= -1
    affine[:3, 3] = [float(header[f"qoffset_{axis}"]) * mm for axis in "xyz"]
    if not np.isfinite(affine).all():
        raise ValueError(f"want a finite place in the qform, found {affine[:3, 3].tolist()}")
    return affine


def _nowhere(shape: tuple[int, int, int], spacing: FloatArray) -> FloatArray:
    """i to the left, j to the front, k upwards, the middle in the origin: Analyze's way."""
    affine = np.diag([-spacing[0], spacing[1], spacing[2], 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


_NO_PLACE = FileNote(
    level="warning",
    code="no-place",
    text="neither sform nor qform has a code: where the image lies and which side is left are "
    "unknown; the voxel axes are taken to run to the left, to the front and upwards",
    fix=_RECONVERT,
)


def _signed(on_disk: FloatArray, used: str) -> FileNote:
    """A note: NIfTI has no sign on a spacing; Analyze had, to turn an axis, which a sform tells."""
    text = f"pixdim has a spacing below 0 ({_lengths(on_disk, 4)} mm), taken without its sign"
    return FileNote(
        level="note" if used == "sform" else "warning",
        code="two-spacings",
        text=text if used == "sform" else f"{text}; some programs turn that axis round",
        fix="Compare the sides with the scanner's pictures. " + _RECONVERT,
    )


def _codes(sform_code: int, qform_code: int, used: str) -> list[FileNote]:
    """A note on a code that NIfTI does not have."""
    notes = []
    for form, code in (("sform", sform_code), ("qform", qform_code)):
        if code not in NIFTI_CODES:
            what = "it is used, and what it refers to is unknown" if form == used else "not used"
            notes.append(
                FileNote(
                    level="warning" if form == used or code < 0 else "note",
                    code="form-code",
                    text=f"the {form} has the code {code}, none of NIfTI's (0 to 5): {what}",
                    fix="Compare place and sides with the scanner's pictures. " + _RECONVERT,
                )
            )
    return notes


def _forms_agree(
    header: Any, sform: FloatArray, spacing: FloatArray, mm: float, shape: tuple[int, int, int]
) -> list[FileNote]:
    """A warning where the qform, with the sform's spacing, places a corner elsewhere."""
    fix = "Compare with the scanner's pictures, and write the place that is right into both."
    try:
        qform = _qform(header, spacing, mm)
    except ValueError as error:
        text = f"the qform cannot be used ({error}); the sform is"
        return [FileNote(level="note", code="bad-qform", text=text, fix=fix)]
    ends = np.array(list(itertools.product(*((0, n - 1) for n in shape))), np.float64)
    axes = np.linalg.norm(sform[:3, :3], axis=0)
    alike = qform.copy()
    alike[:3, :3] *= axes / spacing
    diagonal_mm = float(np.linalg.norm(axes * shape))
    if _apart(alike, sform, ends) <= TURN_TOLERANCE * diagonal_mm:
        return []
    text = (
        "sform and qform, both with a code, name two places, corners up to "
        f"{_apart(qform, sform, ends):.4g} mm apart, {_turned(sform, qform)}; "
        f"sform: {_where(sform, shape)}; qform: {_where(qform, shape)}; the sform is used"
    )
    return [FileNote(level="warning", code="two-places", text=text, fix=fix)]


def _turned(sform: FloatArray, qform: FloatArray) -> str:
    """How one is turned against the other, in words; shears count as turns."""
    if np.linalg.det(qform[:3, :3]) * np.linalg.det(sform[:3, :3]) < 0:
        return "one mirrored against the other"
    a, b = (form[:3, :3] / np.linalg.norm(form[:3, :3], axis=0) for form in (sform, qform))
    cosine = float((np.trace(a.T @ b) - 1) / 2)
    return f"turned by {math.degrees(math.acos(min(1.0, max(-1.0, cosine)))):.3g} degrees"


def _where(affine: FloatArray, shape: tuple[int, int, int]) -> str:
    """Where the axes run to, and where the middle of the image lies."""
    middle = affine[:3, :3] @ ((np.array(shape) - 1) / 2) + affine[:3, 3]
    x, y, z = middle.tolist()
    codes = "".join(str(code) for code in _AXES.aff2axcodes(affine))
    return f"axes {codes}, middle at ({x:.1f}, {y:.1f}, {z:.1f}) mm"


def _apart(a: FloatArray, b: FloatArray, ends: FloatArray) -> float:
    """The farthest that two affines place one of the voxels `ends`, (n, 3)."""
    moved = ends @ (a - b)[:3, :3].T + (a - b)[:3, 3]
    return float(np.linalg.norm(moved, axis=1).max())


def _qform_notes(header: Any) -> list[FileNote]:
    """Notes on a quaternion that was shortened, and on a qfac that is no sign."""
    notes = []
    length = float(np.linalg.norm([float(header[f"quatern_{part}"]) for part in "bcd"]))
    if length > 1 + ROUNDING:
        text = f"the qform's quaternion has length {length:.7g} and was shortened to 1"
        fix = "Nothing to do: the direction is sure to 0.1 degrees."
        notes.append(FileNote(level="note", code="quaternion", text=text, fix=fix))
    if (qfac := float(header["pixdim"][0])) not in (-1, 0, 1):
        text = f"pixdim[0] is {qfac:g}, want 1 or -1: the slices are taken to run " + (
            "against the qform's third axis" if qfac < 0 else "along the qform's third axis"
        )
        fix = "Compare the sides with the scanner's pictures. " + _RECONVERT
        notes.append(FileNote(level="warning", code="qfac", text=text, fix=fix))
    return notes


def _spacing_agrees(affine: FloatArray, spacing: FloatArray, used: str) -> list[FileNote]:
    """A note where pixdim gives another voxel than the axes, a warning where much of another."""
    axes = np.linalg.norm(affine[:3, :3], axis=0)
    ratio = spacing / axes
    apart = float(np.abs(ratio - 1).max())
    if apart <= SPACING_TOLERANCE:
        return []
    digits = 4 if apart > SPACING_ALARM else 8
    text = (
        f"the header contradicts itself on the voxel size: pixdim says "
        f"{_lengths(spacing, digits)} mm, the {used} {_lengths(axes, digits)} mm, "
        f"which is used; a program that goes by pixdim finds {float(ratio.prod()):.{digits}g} "
        "times the volume"
    )
    fix = "Find out which is right, in the scanner's protocol, and correct the other. " + _RECONVERT
    level: Any = "warning" if apart > SPACING_ALARM else "note"
    return [FileNote(level=level, code="two-spacings", text=text, fix=fix)]


def _square(affine: FloatArray) -> list[FileNote]:
    """A warning for axes that are not at right angles."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    cosine = float(np.abs(axes.T @ axes - np.eye(3)).max())
    volume = abs(float(np.linalg.det(axes)))
    if not cosine > SKEW_COSINE:
        return []
    text = (
        f"two of the axes are not at right angles (cosine {cosine:.3g}): a voxel has {volume:.4g} "
        "of the product of its spacings; score takes distances and volumes as if they were"
    )
    fix = "Take the image as the scanner gave it, or resample it onto a square grid."
    return [FileNote(level="warning", code="skew", text=text, fix=fix)]


def _lengths(mm: FloatArray, digits: int) -> str:
    return " x ".join(f"{length:.{digits}g}" for length in mm)
