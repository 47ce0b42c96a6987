"""One 3-D image and its place in the patient: read, written and compared without losing either."""

from __future__ import annotations

import gzip
import itertools
import logging
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from common.arrays import FloatArray
from common.errors import GeometryError, SiteDataError
from common.files import write_whole

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
    """

    data: NDArray[Any]
    affine: FloatArray

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
    The sform places the image, else the qform, as nibabel has it.
    """
    stored = _read_nifti(path)
    with np.errstate(over="ignore", invalid="ignore"):  # intake reports what became inf or NaN
        if stored.slope is None:
            data = stored.data.astype(np.float32, order="C")
        else:
            data = (stored.data * stored.slope + stored.inter).astype(np.float32, order="C")
    return Volume(data, stored.affine)


def read_labels(path: Path) -> Volume:
    """The label image in one NIfTI file: whole numbers, 0 or above, in the file's integer type.

    Whole numbers stored as floats come back as int32; fractions, NaN and negative numbers are
    refused with VolumeFault, for rounding them would move the border of a lesion.
    """
    read = _read_nifti(path)
    with np.errstate(over="ignore", invalid="ignore"):
        stored = read.data if read.slope is None else read.data * read.slope + read.inter
    if not np.isfinite(stored).all():
        raise VolumeFault(
            path,
            code="not-finite",
            what="want whole numbers in a mask, found NaN or infinity",
            fix="Save the mask again as 8-bit integers, 0 for background and 1 for lesion.",
        )
    whole = stored if stored.dtype.kind in "iu" else np.rint(stored)
    in_range = whole.min() >= 0 and whole.max() <= np.iinfo(np.int32).max
    if not in_range or not np.array_equal(whole, stored):
        raise VolumeFault(
            path,
            code="not-labels",
            what="want whole numbers from 0 up in a mask, found values between "
            f"{float(stored.min()):g} and {float(stored.max()):g}, some of them "
            f"{'fractions' if in_range else 'out of range'}",
            fix="Resample masks with nearest neighbour, and save them as 8-bit integers.",
        )
    native = whole.dtype.newbyteorder("=") if whole.dtype.kind in "iu" else np.int32
    return Volume(whole.astype(native, order="C"), read.affine)


def read_mask(path: Path) -> Volume:
    """The mask in one NIfTI file as bool, true where its label is above 0.

    Refuses what `read_labels` refuses. Several labels become one; intake warns of that.
    """
    labels = read_labels(path)
    return Volume(labels.data > 0, labels.affine)


def read_grid(path: Path) -> Volume:
    """The grid of the image in one NIfTI file, 0 in every voxel, in the memory of one voxel.

    The header alone is read; VolumeFault as `read_volume`, but for damage to the voxels.
    """
    header = _header(path, _content(path, _NIFTI_HEADERS[-1].sizeof_hdr))
    return Volume(np.broadcast_to(np.float32(0), _shape(path, header)), _affine(path, header))


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
class _Stored:
    """What a NIfTI file holds: voxels as stored, (i, j, k), read-only; the value is theirs times
    `slope` plus `inter`, or theirs where `slope` is None."""

    data: NDArray[Any]
    slope: np.float64 | None
    inter: np.float64
    affine: FloatArray


def _read_nifti(path: Path) -> _Stored:
    """The voxels and the place in `path`; nothing is believed before it is checked."""
    content = _content(path)
    header = _header(path, content)
    shape, dtype = _shape(path, header), header.get_data_dtype()
    if dtype.kind not in "iuf":
        raise VolumeFault(
            path,
            code="not-grey",
            what=f"want one number a voxel, found voxels of type {dtype} (colour or complex)",
            fix="Export the magnitude image in grey values.",
        )
    offset, n_voxels = int(header.get_data_offset()), math.prod(shape)
    if (promised := offset + n_voxels * dtype.itemsize) > len(content):
        found = f"for shape {shape}, the file has {len(content)}"
        raise _truncated(path, f"the header promises {promised} bytes {found}")
    affine = _affine(path, header)
    voxels = np.frombuffer(content, dtype, n_voxels, offset)
    slope, inter = header.get_slope_inter()
    scaled = slope is not None and (slope, inter) != (1, 0)
    return _Stored(
        data=voxels.reshape(shape, order="F"),
        slope=np.float64(slope) if scaled else None,
        inter=np.float64(inter or 0),
        affine=affine,
    )


def _header(path: Path, content: bytes) -> Any:
    """The header at the start of `content`, with the small faults repaired that nibabel repairs."""
    for kind in _NIFTI_HEADERS:
        if kind.may_contain_header(content):
            break
    else:
        raise _unreadable(path, "want a NIfTI file, found another format or a damaged header")
    header = kind(content[: kind.sizeof_hdr], check=False)
    with np.errstate(invalid="ignore"):
        spacing = np.asarray(header["pixdim"][1:4], dtype=np.float64)
    if not (np.isfinite(spacing).all() and (spacing != 0).all()):  # nibabel would make it 1
        wrong = f"want a spacing above 0 mm along each axis, the header says {spacing.tolist()}"
        raise _bad_affine(path, wrong)
    try:
        if not kind.single_vox_offset <= float(header["vox_offset"]) < math.inf:
            raise ValueError(f"the voxels start at byte {float(header['vox_offset']):g}")
        header.check_fix(logger=_QUIET)
        header.get_slope_inter()
    except (ValueError, TypeError, HeaderDataError) as error:
        raise _unreadable(path, f"want a readable NIfTI header, found: {error}") from None
    return header


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
    i, j, k = shape[:3]
    return i, j, k


def _affine(path: Path, header: Any) -> FloatArray:
    """Voxel index -> RAS+ world, (4, 4), mm."""
    with np.errstate(all="ignore"):
        affine = np.asarray(header.get_best_affine(), dtype=np.float64)
        wrong = _affine_fault(affine)
    if wrong is not None:
        raise _bad_affine(path, wrong)
    return affine


def _content(path: Path, n_bytes: int | None = None) -> bytes:
    """The bytes of `path`, decompressed, or the first ones; read whole, gzip's own checksum finds
    most damage."""
    try:
        if n_bytes is not None:
            with path.open("rb") as raw:
                packed = raw.read(2) == b"\x1f\x8b"
            with gzip.open(path) if packed else path.open("rb") as file:
                return file.read(n_bytes)
        content = path.read_bytes()
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except FileNotFoundError:
        raise VolumeFault(
            path, code="missing", what="no such file", fix="Check the name and the folder."
        ) from None
    except EOFError:
        raise _truncated(path, "the compressed data stop before their end") from None
    except (OSError, zlib.error) as error:
        raise _unreadable(path, f"cannot be read: {error}") from None


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


def _truncated(path: Path, what: str) -> VolumeFault:
    fix = "Copy the file again from its source and compare the sizes."
    return VolumeFault(path, code="truncated", what=f"truncated: {what}", fix=fix)
