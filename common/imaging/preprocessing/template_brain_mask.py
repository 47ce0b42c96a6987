"""The brain found with MNI152: the template registered to the head, its mask mapped back."""

from __future__ import annotations

import functools
import logging
import math
from dataclasses import dataclass

import cc3d
import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from common.arrays import BoolArray, FloatArray
from common.errors import SiteDataError
from common.imaging.sitk_image import from_sitk, one_thread, to_sitk
from common.imaging.volume import Volume

log = logging.getLogger(__name__)


WORKING_MM = 2.0
"""Voxel edge at which the search works; a thicker slice is interpolated, a finer grid blurred."""

HEAD_LEVEL = 0.15
"""Part of the 95th percentile of the positive values, above which a voxel is head and not air."""
HEAD_MM = 140.0
"""From the top of the head down, this much is looked at: what is lower is neck."""
DEPTH_MM = 60.0
MIDDLE_MM = 45.0
"""The middle of the brain is sought at most `DEPTH_MM` below the top; the voxels within `MIDDLE_MM`
of it give the brain's level, the median."""
TISSUE = (0.5, 1.6)
"""Brain tissue lies between these parts of the level: bone and fluid below, fat above."""
PARTING_MM = 4.0
"""Bridges thinner than twice this between brain and scalp are cut."""
RIM_MM = 3.0
"""Around the tissue this much is left on, for the fluid and the dark bone that mark the edge."""

START_SCALE = 0.9
"""MNI152 is larger than a brain: a search from 1 holds to the scalp."""
START_SHIFTS_MM = (-25.0, 0.0, 25.0)
"""Heights at which the search starts, around the centre of the tissue."""
MARGIN_MM = 10.0
"""The template's surroundings count in the comparison up to this distance."""
N_BINS = 32

GROWTH_MM = 6.0
"""The edge may move outwards by this much."""
KEPT_MM = 6.0
"""Farther inside the mapped mask than this, every voxel is brain."""
CLOSING_MM = 4.0
"""Sulci up to twice as wide are filled."""
SEED = 1

SMALLEST_ML, LARGEST_ML = 700.0, 2300.0
"""A result outside is no brain of an adult or of a child above about three years."""
MOST_BORDER = 0.5
"""Most of the image's border voxels that a mask may hold."""


@one_thread()
def template_brain_mask(image: Volume) -> Volume:
    """The brain of a head as bool on the image's grid, cerebellum and brain stem with it.

    image    (i, j, k), T1w, FLAIR or alike: the scalp may be there or not; finite, axes at right
             angles, and a header that knows which way is up, within about 30 degrees
    returns  one piece without holes. The fluid in the sulci is in, the eyes and most of the dura
             are out

    First the head is parted coarsely: the tissue with the brain's own level, cut from the scalp by
    an opening. In what is left, MNI152 is laid over the image, shifted and turned, then with an
    affine map, by mutual information, which does not mind another contrast. Its mask is mapped
    back, and its edge then follows the tissue of the image where the two lie near each other.

    SiteDataError where the result cannot be a brain.

    Source   mutual information after Mattes et al. 2003, doi:10.1109/TMI.2003.809072, as SimpleITK
             has it; the ICBM 2009a template in nilearn's package, nothing is downloaded. Chosen:
             the rest, by measurement (docs/adr/0019). One thread and a fixed seed: the same image
             gives the same mask.
    """
    if not np.isfinite(image.data).all():
        raise SiteDataError(
            "brain mask from the template: want a finite number in every voxel, found NaN or "
            f"infinity. {_WHAT_TO_DO}"
        )
    coarse = _coarse(to_sitk(Volume(image.data.astype(np.float32), image.affine)))
    tissue = _parted(from_sitk(coarse))
    to_image = _registered(coarse, tissue)
    mapped = _mapped(to_image, coarse)
    mended = _mended(mapped, tissue)
    mask = Volume(_on_grid(mended, image), image.affine)
    _require_brain(mask)
    return mask


_WHAT_TO_DO = (
    "Give a brain mask (desc-brain_mask) or a stripped image, or name the site's own tool in "
    "site.toml."
)


@dataclass(frozen=True, slots=True, eq=False)
class _Tissue:
    """What a coarse look at a head gives.

    values    (i, j, k), clipped, 0 away from the tissue
    core      voxels deep in the tissue
    all       voxels with the brain's level, brain or not
    """

    values: Volume
    core: BoolArray
    all: BoolArray


def _coarse(image: sitk.Image) -> sitk.Image:
    """The image on voxels of about `WORKING_MM`, blurred first where it is finer."""
    spacing, shape = np.array(image.GetSpacing()), np.array(image.GetSize())
    for axis in np.flatnonzero(spacing < WORKING_MM).tolist():
        image = sitk.RecursiveGaussian(
            image,
            0.4 * WORKING_MM,
            False,
            sitk.RecursiveGaussianImageFilter.ZeroOrder,
            axis,
        )
    n_voxels = np.maximum(np.rint(shape * spacing / WORKING_MM), 1).astype(int)
    edge = shape * spacing / n_voxels
    first = image.TransformContinuousIndexToPhysicalPoint(((edge / spacing - 1) / 2).tolist())
    resample = sitk.ResampleImageFilter()
    resample.SetSize(n_voxels.tolist())
    resample.SetOutputSpacing(edge.tolist())
    resample.SetOutputOrigin(first)
    resample.SetOutputDirection(image.GetDirection())
    resample.SetInterpolator(sitk.sitkLinear)
    resample.UseNearestNeighborExtrapolatorOn()  # half of a thick slice lies beyond its centre
    coarse: sitk.Image = resample.Execute(image)
    return coarse


def _parted(head: Volume) -> _Tissue:
    """The brain's tissue coarsely parted from the rest of the head."""
    data = head.data
    positive = data[data > 0]
    if not positive.size:
        raise SiteDataError(
            "brain mask from the template: want intensities above 0, found none. Give the image "
            f"from before any z-score. {_WHAT_TO_DO}"
        )
    bright = ndimage.binary_opening(data > HEAD_LEVEL * np.percentile(positive, 95))
    skin: BoolArray = cc3d.largest_k(bright, k=1, connectivity=6) > 0
    if not skin.any():
        raise SiteDataError(f"brain mask from the template: found no head. {_WHAT_TO_DO}")
    index = np.argwhere(skin)
    world = index @ head.affine[:3, :3].T + head.affine[:3, 3]
    top = float(np.percentile(world[:, 2], 99.8))
    middle = np.median(world[world[:, 2] > top - HEAD_MM], axis=0)
    middle[2] = min(middle[2], top - DEPTH_MM)
    inner = index[np.linalg.norm(world - middle, axis=1) < MIDDLE_MM]
    if not len(inner):
        raise SiteDataError(f"brain mask from the template: found a hollow head. {_WHAT_TO_DO}")
    level = float(np.median(data[tuple(inner.T)]))
    tissue = skin & (data > TISSUE[0] * level) & (data < TISSUE[1] * level)
    deep = _depth_mm(tissue, head.spacing_mm) > PARTING_MM
    parts = cc3d.connected_components(deep, connectivity=6)
    n_inner = np.bincount(parts[tuple(inner.T)], minlength=2)
    n_inner[0] = 0
    if not n_inner.any():
        raise SiteDataError(
            f"brain mask from the template: found no brain in the head. {_WHAT_TO_DO}"
        )
    core = parts == int(n_inner.argmax())
    near = ndimage.distance_transform_edt(~core, head.spacing_mm) <= PARTING_MM + RIM_MM
    values = np.where(near, np.clip(data, 0, 2 * level), 0).astype(np.float32)
    return _Tissue(Volume(values, head.affine), core, tissue)


def _registered(coarse: sitk.Image, tissue: _Tissue) -> sitk.AffineTransform:
    """The map from the template's world to the image's (LPS+, as SimpleITK has it)."""
    template, near, centre = _template_for_search()
    moving = to_sitk(tissue.values)
    core = np.argwhere(tissue.core).mean(axis=0)
    there = np.array(moving.TransformContinuousIndexToPhysicalPoint(core.tolist()))
    best, best_value = None, np.inf
    for up_mm in START_SHIFTS_MM:
        start = sitk.Similarity3DTransform()
        start.SetCenter(centre.tolist())
        start.SetScale(START_SCALE)
        start.SetTranslation((there - centre + [0, 0, up_mm]).tolist())
        search = _search(near, step_mm=4.0, shortest_mm=0.1, n_steps=25)
        search.SetShrinkFactorsPerLevel([2])
        search.SetSmoothingSigmasPerLevel([4.0])
        search.SetOptimizerWeights([1, 1, 1, 1, 1, 1, 0])  # the scale stays
        search.SetInitialTransform(start, inPlace=True)
        try:
            search.Execute(template, moving)
        except RuntimeError as error:  # the two lie beside each other
            log.debug("a start failed", extra={"why": str(error)})
            continue
        if search.GetMetricValue() < best_value:
            best, best_value = start, search.GetMetricValue()
    if best is None:
        raise SiteDataError(
            f"brain mask from the template: the template cannot be laid over it. {_WHAT_TO_DO}"
        )
    affine = sitk.AffineTransform(3)
    affine.SetCenter(best.GetCenter())
    affine.SetMatrix(best.GetMatrix())
    affine.SetTranslation(best.GetTranslation())
    search = _search(near, step_mm=1.0, shortest_mm=0.01, n_steps=100)
    search.SetMetricSamplingStrategy(search.REGULAR)
    search.SetMetricSamplingPercentage(0.25, SEED)
    search.SetShrinkFactorsPerLevel([2, 1])
    search.SetSmoothingSigmasPerLevel([2.0, 0.0])
    search.SetInitialTransform(affine, inPlace=True)
    search.Execute(template, moving)
    return affine


def _search(
    near: sitk.Image, *, step_mm: float, shortest_mm: float, n_steps: int
) -> sitk.ImageRegistrationMethod:
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(N_BINS)
    method.SetMetricFixedMask(near)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetSmoothingSigmasAreSpecifiedInPhysicalUnits(True)
    method.SetOptimizerAsRegularStepGradientDescent(step_mm, shortest_mm, n_steps)
    method.SetOptimizerScalesFromPhysicalShift()
    return method


def _mapped(to_image: sitk.AffineTransform, coarse: sitk.Image) -> Volume:
    """The template's mask on the coarse grid, bool."""
    _, mask = _template()
    share = sitk.Resample(
        to_sitk(Volume(mask.data.astype(np.float32), mask.affine)),
        coarse,
        to_image.GetInverse(),
        sitk.sitkLinear,
        0.0,
    )
    mapped = from_sitk(share)
    return Volume(mapped.data > 0.5, mapped.affine)


def _mended(mapped: Volume, tissue: _Tissue) -> Volume:
    """The mapped mask with its edge on the image's own tissue; same grid.

    Deep inside nothing changes: a ventricle or a black hole has another level. Around the edge
    tissue is brain where an opening leaves it connected to the inside.
    """
    room = math.ceil((GROWTH_MM + CLOSING_MM) / float(mapped.spacing_mm.min()))
    mm = mapped.spacing_mm
    mask, around = np.pad(mapped.data, room), np.pad(tissue.all, room)
    inner = _depth_mm(mask, mm) > KEPT_MM
    around &= _grown(mask, GROWTH_MM, mm)
    seeds = (_depth_mm(around, mm) > PARTING_MM) | inner
    largest: BoolArray = cc3d.largest_k(seeds, k=1, connectivity=6) > 0
    brain = (_grown(largest, PARTING_MM, mm) & around) | inner
    closed = (_depth_mm(_grown(brain, CLOSING_MM, mm), mm) > CLOSING_MM) | brain
    solid: BoolArray = np.asarray(ndimage.binary_fill_holes(closed), dtype=np.bool_)
    return Volume(solid[room:-room, room:-room, room:-room], mapped.affine)


def _grown(mask: BoolArray, by_mm: float, spacing_mm: FloatArray) -> BoolArray:
    """The voxels within `by_mm` of the mask."""
    return np.asarray(_depth_mm(~mask, spacing_mm) <= by_mm) if mask.any() else mask


def _on_grid(coarse: Volume, image: Volume) -> BoolArray:
    """A mask on the image's grid, from the distance to its surface."""
    inside, outside = (_depth_mm(m, coarse.spacing_mm) for m in (coarse.data, ~coarse.data))
    signed = to_sitk(Volume((inside - outside).astype(np.float32), coarse.affine))
    grid = to_sitk(Volume(np.zeros(image.data.shape, np.uint8), image.affine))
    fine = sitk.Resample(signed, grid, sitk.Transform(), sitk.sitkLinear, -1.0, sitk.sitkFloat32)
    mask = from_sitk(fine).data > 0
    largest = cc3d.largest_k(mask, k=1, connectivity=6) > 0
    return np.asarray(ndimage.binary_fill_holes(largest), dtype=np.bool_)


def _require_brain(mask: Volume) -> None:
    """SiteDataError unless the mask could be a brain."""
    volume_ml = np.count_nonzero(mask.data) * mask.voxel_volume_mm3 / 1000
    if not SMALLEST_ML <= volume_ml <= LARGEST_ML:
        raise SiteDataError(
            f"brain mask from the template: want a brain of {SMALLEST_ML:g} to {LARGEST_ML:g} mL, "
            f"found one of {volume_ml:.0f} mL. {_WHAT_TO_DO}"
        )
    border = np.ones(mask.data.shape, np.bool_)
    border[1:-1, 1:-1, 1:-1] = False
    share = float(mask.data[border].mean())
    if share > MOST_BORDER:
        raise SiteDataError(
            f"brain mask from the template: it holds {share:.0%} of the image's border, so the "
            f"image shows less than a brain or the mask is wrong. {_WHAT_TO_DO}"
        )


@functools.cache
def _template() -> tuple[Volume, Volume]:
    """MNI152 at 1 mm without its skull, 0 to 1, and its brain as bool."""
    from nilearn.datasets import load_mni152_brain_mask, load_mni152_template

    template, mask = load_mni152_template(resolution=1), load_mni152_brain_mask(resolution=1)
    brain = np.asarray(mask.dataobj) > 0
    closed = (_depth_mm(_depth_mm(~brain, 1.0) <= 4.0, 1.0) > 4.0) | brain  # the sulci too
    solid = np.asarray(ndimage.binary_fill_holes(closed), dtype=np.bool_)
    affine = np.asarray(template.affine, dtype=np.float64)
    return Volume(np.asarray(template.dataobj, dtype=np.float32), affine), Volume(solid, affine)


@functools.cache
def _template_for_search() -> tuple[sitk.Image, sitk.Image, FloatArray]:
    """The template on `WORKING_MM`, where it is compared, and the centre of its brain, LPS+."""
    template, mask = _template()
    room = [round(MARGIN_MM) + 6] * 3
    whole = sitk.ConstantPad(to_sitk(template), room, room, 0.0)
    brain = sitk.ConstantPad(to_sitk(mask), room, room, 0)
    distance = sitk.SignedMaurerDistanceMap(brain, False, False, True)
    small = _coarse(whole)
    near = sitk.Resample(
        sitk.Cast(distance <= MARGIN_MM, sitk.sitkUInt8),
        small,
        sitk.Transform(),
        sitk.sitkNearestNeighbor,
        0,
    )
    centre = np.argwhere(mask.data).mean(axis=0)
    return (
        small,
        near,
        np.array(to_sitk(mask).TransformContinuousIndexToPhysicalPoint(centre.tolist())),
    )


def _depth_mm(mask: BoolArray, spacing_mm: FloatArray | float) -> FloatArray:
    """Distance of each voxel of the mask to the nearest outside; the image's border is no edge."""
    return np.asarray(ndimage.distance_transform_edt(mask, spacing_mm))
