"""A volume as a SimpleITK image and back: RAS+ here, LPS+ there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from common.arrays import FloatArray
from common.errors import GeometryError
from common.imaging.volume import Volume, grid_text

RAS_TO_LPS: FloatArray = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Turns a RAS+ world point into an LPS+ one; its own inverse."""

MAX_AXIS_COSINE = 1e-3
"""Axes whose cosine is larger are skew (chosen); the float32 of a header leaves about 1e-6."""


@contextmanager
def one_thread() -> Iterator[None]:
    """SimpleITK computes in one thread inside: sums over threads have no fixed order.

    For the whole process: a filter inside another one uses the global number alone, whatever was
    set on the outer one. Also to be used as a decorator.
    """
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


def to_sitk(volume: Volume) -> sitk.Image:
    """`volume` as a SimpleITK image: the same voxels, indices and places, world axes LPS+.

    The type of the voxels is kept, bool as uint8. GeometryError where the axes of the grid are
    skew, for SimpleITK's images know a direction and a spacing and no shear.
    """
    data = volume.data.astype(np.uint8) if volume.data.dtype == np.bool_ else volume.data
    native = np.ascontiguousarray(data.transpose(2, 1, 0), dtype=data.dtype.newbyteorder("="))
    image = sitk.GetImageFromArray(native)
    spacing = volume.spacing_mm
    axes = volume.affine[:3, :3] / spacing
    cosine = float(np.abs(axes.T @ axes - np.eye(3)).max())
    if cosine > MAX_AXIS_COSINE:
        raise GeometryError(
            f"want a grid with axes at right angles, found {grid_text(volume)}, where two axes "
            f"have a cosine of {cosine:.3g} (at most {MAX_AXIS_COSINE:g}). Resample the image onto "
            "a grid without shear, such as the scanner's before a tilt was corrected."
        )
    flip = RAS_TO_LPS[:3, :3]
    image.SetSpacing(spacing.tolist())
    image.SetDirection((flip @ axes).ravel().tolist())
    image.SetOrigin((flip @ volume.affine[:3, 3]).tolist())
    return image


def from_sitk(image: sitk.Image) -> Volume:
    """A 3-D SimpleITK image as a volume: the same voxels, indices and places, world axes RAS+."""
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise GeometryError(
            f"want an image of three axes and one number a voxel, found {image.GetDimension()} "
            f"axes and {image.GetNumberOfComponentsPerPixel()} numbers"
        )
    data: NDArray[Any] = sitk.GetArrayFromImage(image)
    lps = np.eye(4)
    lps[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.asarray(image.GetSpacing())
    lps[:3, 3] = image.GetOrigin()
    return Volume(np.ascontiguousarray(data.transpose(2, 1, 0)), RAS_TO_LPS @ lps)
