"""An image corrected for the scanner's bias field: N4."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from common.arrays import BoolArray, Float32Array
from common.errors import SiteDataError
from common.imaging.sitk_image import one_thread, to_sitk
from common.imaging.volume import Volume, require_same_grid

WORKING_SPACING_MM = 4.0
"""Voxel edge at which the field is estimated: coils shade over centimetres."""
CONTROL_POINTS = (4, 4, 4)
"""Of the coarsest level's spline along each axis; three levels follow, each twice as fine."""
ITERATIONS = (50, 50, 50, 50)
"""At most, per level. Of a field put on two real images (standard deviation 13 and 18 %), this
leaves 2 and 0.2 %; (20, 20, 10) left 6 %."""
SMALLEST_BRAIN_ML = 1.0
"""Less than this is no brain, but an empty or misplaced mask."""


@one_thread()
def correct_bias(image: Volume, brain: Volume) -> Volume:
    """The image divided by its bias field, with the mean inside the brain as it was.

    image    (i, j, k), scanner units; voxels of the brain that are 0 or below stay out of the
             estimate, and are divided like the others
    brain    bool on the image's grid, else GeometryError
    returns  float32 on the same grid; equal images give equal bits

    Outside the brain the field is the spline's own continuation, held between its lowest and
    highest value inside, so that the background is not blown up.

    Source   Tustison et al. 2010, doi:10.1109/TMI.2010.2046908, as SimpleITK has it. Chosen: the
             estimate at `WORKING_SPACING_MM`, `CONTROL_POINTS`, `ITERATIONS`, one thread.
    """
    require_same_grid(brain, image, a_name="the brain mask", b_name="the image")
    inside = brain.data.astype(np.bool_)
    usable = inside & np.isfinite(image.data) & (image.data > 0)
    if np.count_nonzero(usable) * image.voxel_volume_mm3 / 1000 < SMALLEST_BRAIN_ML:
        raise SiteDataError(
            f"bias field: want {SMALLEST_BRAIN_ML:g} mL of brain with intensities above 0, found "
            f"{np.count_nonzero(usable)} such voxels. Give the image from before any z-score, and "
            "check that image and brain mask belong together."
        )
    log_field = _log_field(image, usable)
    log_field -= np.median(log_field[usable])
    np.clip(log_field, log_field[usable].min(), log_field[usable].max(), out=log_field)
    corrected = image.data / np.exp(log_field)
    before = image.data[inside].mean(dtype=np.float64)
    after = corrected[inside].mean(dtype=np.float64)
    if not (0 < before < np.inf and 0 < after < np.inf):
        raise SiteDataError(
            f"bias field: want a mean above 0 inside the brain, found {before:g}, and {after:g} "
            "once it was corrected. Give the image from before any z-score."
        )
    return Volume((corrected * (before / after)).astype(np.float32), image.affine)


def _log_field(image: Volume, usable: BoolArray) -> Float32Array:
    """The logarithm of the field at every voxel of `image`, (i, j, k), up to a constant."""
    factors = np.clip(np.rint(WORKING_SPACING_MM / image.spacing_mm).astype(int), 1, None)
    factors = np.minimum(factors, np.maximum(np.array(image.data.shape) // 4, 1)).tolist()
    values = np.where(usable, image.data, 0).astype(np.float32)
    full = to_sitk(Volume(values, image.affine))
    share = sitk.BinShrink(to_sitk(Volume(usable.astype(np.float32), image.affine)), factors)
    mask = share > 0.5
    small = sitk.BinShrink(full, factors) / sitk.Maximum(share, 0.01)  # mean of the usable voxels
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetNumberOfControlPoints(CONTROL_POINTS)
    n4.SetMaximumNumberOfIterations(ITERATIONS)
    n4.Execute(small, mask)
    back = sitk.ResampleImageFilter()
    back.SetReferenceImage(full)
    back.SetInterpolator(sitk.sitkLinear)
    back.SetOutputPixelType(sitk.sitkFloat32)
    back.UseNearestNeighborExtrapolatorOn()  # half a working voxel lies beyond the outer centres
    field = sitk.GetArrayFromImage(back.Execute(n4.GetLogBiasFieldAsImage(small)))
    return np.ascontiguousarray(field.transpose(2, 1, 0), dtype=np.float32)
