"""One 3-D image and its place in the patient: read, written and compared without losing either."""

from __future__ import annotations

import gzip
import itertools
import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from common.arrays import FloatArray
from common.errors import GeometryError, LesionFedError, SiteDataError
from common.files import write_whole
from common.imaging.file_note import FileNote
from common.imaging.nifti_content import first_bytes, whole_content
from common.imaging.nifti_place import place_of
from common.metrics.whole_numbers import nearly_whole

GRID_TOLERANCE_MM = 1e-3
"""Grids whose corners lie closer than this are one grid; float32 headers round to about 1e-5 mm."""

NIFTI_SUFFIXES = (".nii.gz", ".nii")

_NIFTI_HEADERS: tuple[Any, ...] = (nib.Nifti1Header, nib.Nifti2Header)
_NIFTI_1: Any = nib.Nifti1Image  # Any, for nibabel types only part of its own functions

_QUIET = logging.getLogger(f"{__name__}.header")
"""Takes what nibabel says about a header it repairs, which it would print otherwise."""
_QUIET.setLevel(logging.CRITICAL)


class VolumeFault(SiteDataError):
    """One file that is not a usable 3-D image.

    path   the file
    what   what was expected and what was found
    fix    what to do about it
    code   missing, unreadable, truncated, not-3d, bad-affine, not-grey, not-finite, not-labels
    """

    def __init__(self, path: Path, *, code: str, what: str, fix: str) -> None:
        super().__init__(f"{path}: {what}. {fix}", code=code)
        self.path = path
        self.what = what
        self.fix = fix


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """An image and where it lies.

    data     (i, j, k): float32 for images, integers for labels, bool for masks
    affine   (4, 4) float64, voxel index -> RAS+ world, mm; finite and invertible
    notes    what is odd about the file it was read from; none for what was computed
    """

    data: NDArray[Any]
    affine: FloatArray
    notes: tuple[FileNote, ...] = ()

    def __post_init__(self) -> None:
        if self.data.ndim != 3 or 0 in self.data.shape:
            raise GeometryError(f"want a volume of (i, j, k) voxels, got shape {self.data.shape}")
        if (wrong := _affine_fault(self.affine)) is not None:
            raise GeometryError(wrong)

    @property
    def spacing_mm(self) -> FloatArray:
        """Distance between neighbouring voxel centres along i, j and k, (3,), mm.

        Column norms, not the diagonal: an oblique FLAIR hides its spacing there.
        """
        spacing: FloatArray = np.linalg.norm(self.affine[:3, :3], axis=0)
        return spacing

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel, mm3; below the product of the spacings where the axes are skew."""
        return abs(float(np.linalg.det(self.affine[:3, :3])))


def read_volume(path: Path) -> Volume:
    """The image in one NIfTI file as float32, scaling applied; VolumeFault says what is wrong.

    Trailing axes of length 1 are dropped, as some converters write (i, j, k, 1); any other number
    of axes than three is refused. Values are not judged: see `require_finite`.
    The sform places the image, else the qform; what contradicts it is in the notes.
    """
    with _faults_of(path):
        stored = _read_nifti(path)
        with np.errstate(over="ignore", invalid="ignore"):  # intake reports what became inf or NaN
            if stored.slope is None:
                data = stored.data.astype(np.float32, order="C")
            else:
                data = (stored.data * stored.slope + stored.inter).astype(np.float32, order="C")
        return Volume(data, stored.affine, stored.notes)


def read_labels(path: Path) -> Volume:
    """The label image in one NIfTI file: whole numbers, 0 or above, in the file's integer type.

    Whole numbers that are stored as floats or scaled come back as int32, those that are missed by
    a rounding error too (`nearly_whole`). Fractions, NaN and negative numbers are refused with
    VolumeFault, for rounding them would move the border of a lesion.
    """
    with _faults_of(path):
        read = _read_nifti(path)
        with np.errstate(over="ignore", invalid="ignore"):
            stored = read.data if read.slope is None else read.data * read.slope + read.inter
        if not np.isfinite(stored).all():
            raise _not_labels(path, read, "not-finite", "found NaN or infinity")
        whole = stored if stored.dtype.kind in "iu" else np.rint(stored)
        found = f"found values between {float(stored.min()):g} and {float(stored.max()):g}, some "
        if whole.min() < 0 or whole.max() > np.iinfo(np.int32).max:
            raise _not_labels(path, read, "not-labels", found + "of them out of range")
        if whole is not stored and not nearly_whole(stored, whole):
            raise _not_labels(path, read, "not-labels", found + "of them fractions")
        native = whole.dtype.newbyteorder("=") if whole.dtype.kind in "iu" else np.int32
        return Volume(whole.astype(native, order="C"), read.affine, read.notes)


def read_mask(path: Path) -> Volume:
    """The mask in one NIfTI file as bool, true where its label is above 0.

    Refuses what `read_labels` refuses. Several labels become one; intake warns of that.
    """
    labels = read_labels(path)
    return Volume(labels.data > 0, labels.affine, labels.notes)


def read_grid(path: Path) -> Volume:
    """The grid of the image in one NIfTI file, 0 in every voxel, in the memory of one voxel.

    The header alone is read; VolumeFault and notes as of `read_volume`, but for what is wrong with
    the rest of the file.
    """
    with _faults_of(path):
        described = _described(path)
        data = np.broadcast_to(np.float32(0), described.shape)
        return Volume(data, described.affine, described.notes)


def noted(volumes: Mapping[str, Volume]) -> list[tuple[FileNote, str]]:
    """Each note on `volumes`, once, and its text with the names of those that it is on."""
    names: dict[FileNote, list[str]] = {}
    for name, volume in volumes.items():
        for note in volume.notes:
            names.setdefault(note, []).append(name)
    return [(note, f"{', '.join(on)}: {note.text}") for note, on in names.items()]


def require_finite(volume: Volume, path: Path) -> None:
    """Raise VolumeFault when `volume`, read from `path`, holds a NaN or an infinity."""
    n_bad = int(volume.data.size - np.count_nonzero(np.isfinite(volume.data)))
    if n_bad:
        raise VolumeFault(
            path,
            code="not-finite",
            what=f"want a finite number in every voxel, found {n_bad} NaN or infinite voxels",
            fix="Export the image again; where the scanner gave no value, 0 belongs.",
        )


def write_volume(volume: Volume, path: Path) -> None:
    """Write `volume` as NIfTI, whole or not at all: a temporary file beside it, then renamed.

    path   ends in .nii or .nii.gz; its folder exists
    The data type is kept (bool as uint8) without scaling. The affine goes into the sform and,
    when it has no shear, the qform, in NIfTI's float32. Equal volumes give equal bytes.
    """
    if not path.name.endswith(NIFTI_SUFFIXES):
        raise SiteDataError(f"{path}: want a file name in .nii.gz or .nii")
    data = volume.data.astype(np.uint8) if volume.data.dtype == np.bool_ else volume.data
    image = _NIFTI_1(data, volume.affine, dtype=data.dtype)
    image.header.set_xyzt_units("mm")
    image.set_sform(volume.affine, code="aligned")
    image.set_qform(volume.affine, code="aligned", strip_shears=True)
    if not same_grid(Volume(data, image.get_qform()), volume):
        image.set_qform(None, code="unknown")
    content = image.to_bytes()
    if path.name.endswith(".gz"):
        content = gzip.compress(content, compresslevel=1, mtime=0)
    try:
        write_whole(path, content)
    except OSError as error:
        raise SiteDataError(
            f"{path}: cannot be written: {error}. Check the disk's free space and the folder's "
            "permissions."
        ) from error


def same_grid(a: Volume, b: Volume, tolerance_mm: float = GRID_TOLERANCE_MM) -> bool:
    """Whether `a` and `b` have one shape and every corner within `tolerance_mm` of its twin."""
    return a.data.shape == b.data.shape and corner_distance_mm(a, b) <= tolerance_mm


def corner_distance_mm(a: Volume, b: Volume) -> float:
    """The farthest that a corner voxel of `a` lies from the same corner of `b`, mm.

    Between the corners of one shape an affine moves no voxel farther than it moves a corner.
    """
    return float(np.linalg.norm(_corners_mm(a) - _corners_mm(b), axis=1).max())


def require_same_grid(
    a: Volume,
    b: Volume,
    *,
    a_name: str,
    b_name: str,
    tolerance_mm: float = GRID_TOLERANCE_MM,
) -> None:
    """Raise GeometryError, with both shapes and affines, unless `same_grid`."""
    if not same_grid(a, b, tolerance_mm):
        raise GeometryError(
            f"want {a_name} and {b_name} on one grid (corners within {tolerance_mm:g} mm), got "
            f"corners up to {corner_distance_mm(a, b):.4g} mm apart\n"
            f"{a_name}: {grid_text(a)}\n{b_name}: {grid_text(b)}\n"
            "Resample one of them onto the other's grid."
        )


def grid_text(volume: Volume) -> str:
    """Shape, spacing and affine of `volume` as one line of text."""
    spacing = " x ".join(f"{mm:.3f}" for mm in volume.spacing_mm)
    rows = "; ".join(" ".join(f"{value:.5g}" for value in row) for row in volume.affine[:3])
    return f"shape {volume.data.shape}, spacing {spacing} mm, affine [{rows}]"


def _corners_mm(volume: Volume) -> FloatArray:
    """Centres of the eight corner voxels, (8, 3), world mm."""
    ends = [(0, n - 1) for n in volume.data.shape]
    corners = np.array(list(itertools.product(*ends)), dtype=np.float64)
    return np.asarray(corners @ volume.affine[:3, :3].T + volume.affine[:3, 3])


@dataclass(frozen=True, slots=True, eq=False)
class _Described:
    """What a header says: how many voxels of which type, from which byte on, and where they lie."""

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    offset: int
    slope: float | None
    inter: float | None
    affine: FloatArray
    notes: tuple[FileNote, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Stored:
    """What a NIfTI file holds: voxels as stored, (i, j, k), read-only; the value is theirs times
    `slope` plus `inter`, or theirs where `slope` is None."""

    data: NDArray[Any]
    slope: np.float64 | None
    inter: np.float64
    affine: FloatArray
    notes: tuple[FileNote, ...]


@contextmanager
def _faults_of(path: Path) -> Iterator[None]:
    """Turns whatever a library raises over one file into that file's VolumeFault."""
    try:
        yield
    except LesionFedError:
        raise
    except FileNotFoundError:
        raise VolumeFault(
            path, code="missing", what="no such file", fix="Check the name and the folder."
        ) from None
    except EOFError as error:
        fix = "Copy the file again from its source and compare the sizes."
        what = f"truncated: {error}"
        raise VolumeFault(path, code="truncated", what=what, fix=fix) from None
    except Exception as error:
        # a header holds more surprises than can be listed, and one file must cost no other
        raise _unreadable(path, f"cannot be read: {str(error) or type(error).__name__}") from None


def _read_nifti(path: Path) -> _Stored:
    """The voxels and the place in `path`; nothing is believed before it is checked."""
    described = _described(path)
    n_voxels = math.prod(described.shape)
    n_bytes = described.offset + n_voxels * described.dtype.itemsize
    content, notes = whole_content(path, n_bytes, n_before=described.offset)
    voxels = np.frombuffer(content, described.dtype, n_voxels, described.offset)
    voxels = voxels.reshape(described.shape, order="F")
    voxels.flags.writeable = False
    slope, inter = described.slope, described.inter
    scaled = slope is not None and (slope, inter) != (1, 0)
    return _Stored(
        data=voxels,
        slope=np.float64(slope) if scaled else None,
        inter=np.float64(inter or 0),
        affine=described.affine,
        notes=(*described.notes, *notes),
    )


def _described(path: Path) -> _Described:
    """What the header of `path` says, with the small faults repaired that nibabel repairs."""
    start = first_bytes(path, _NIFTI_HEADERS[-1].sizeof_hdr)
    for kind in _NIFTI_HEADERS:
        if kind.may_contain_header(start):
            break
    else:
        raise _unreadable(path, "want a NIfTI file, found another format or a damaged header")
    header = kind(start[: kind.sizeof_hdr], check=False)
    as_written = header.copy()
    offset = float(header["vox_offset"])
    if not kind.single_vox_offset <= offset < math.inf:
        raise _unreadable(path, f"want a readable NIfTI header, found: voxels at byte {offset:g}")
    header.check_fix(logger=_QUIET)
    slope, inter = header.get_slope_inter()
    shape, dtype = _shape(path, header), header.get_data_dtype()
    if dtype.kind not in "iuf":
        raise VolumeFault(
            path,
            code="not-grey",
            what=f"want one number a voxel, found voxels of type {dtype} (colour or complex)",
            fix="Export the magnitude image in grey values.",
        )
    try:
        affine, notes = place_of(as_written, shape)
    except ValueError as error:
        raise _bad_affine(path, str(error)) from None
    with np.errstate(all="ignore"):
        wrong = _affine_fault(affine)
    if wrong is not None:
        raise _bad_affine(path, wrong)
    return _Described(shape, dtype, int(offset), slope, inter, affine, notes)


def _shape(path: Path, header: Any) -> tuple[int, int, int]:
    """Voxels along i, j and k."""
    shape = header.get_data_shape()
    if len(shape) < 3 or any(n != 1 for n in shape[3:]):
        raise VolumeFault(
            path,
            code="not-3d",
            what=f"want three axes (i, j, k), found shape {shape}",
            fix="Export one 3-D volume per file; of a series, choose or average one volume.",
        )
    if any(n < 1 for n in shape):
        raise _unreadable(path, f"want at least one voxel along each axis, found shape {shape}")
    i, j, k = (int(n) for n in shape[:3])
    return i, j, k


def _not_labels(path: Path, read: _Stored, code: str, found: str) -> VolumeFault:
    """The fault of a mask that is none, with advice that is true of how it is stored."""
    if read.slope is not None:
        found += f" (stored as {read.data.dtype.name}, times {read.slope:g}, plus {read.inter:g})"
        fix = "Save the mask without scaling (scl_slope 1, scl_inter 0), 1 for lesion."
    elif read.data.dtype.kind in "iu":
        fix = "Save the mask with 0 for background and 1 for lesion."
    else:
        fix = "Resample masks with nearest neighbour, and save them as 8-bit integers."
    return VolumeFault(
        path, code=code, what=f"want whole numbers from 0 up in a mask, {found}", fix=fix
    )


def _affine_fault(affine: FloatArray) -> str | None:
    if affine.shape != (4, 4) or not np.isfinite(affine).all():
        return f"want a finite 4 x 4 affine, got {affine.tolist()}"
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if not (spacing > 0).all() or not abs(np.linalg.det(affine[:3, :3] / spacing)) > 1e-6:
        return f"want an affine that can be inverted, got {affine.tolist()}"
    return None


def _bad_affine(path: Path, what: str) -> VolumeFault:
    fix = "Convert the image again from DICOM with dcm2niix."
    return VolumeFault(path, code="bad-affine", what=what, fix=fix)


def _unreadable(path: Path, what: str) -> VolumeFault:
    fix = "Export or copy the file again; scanner data become NIfTI with dcm2niix."
    return VolumeFault(path, code="unreadable", what=what, fix=fix)
