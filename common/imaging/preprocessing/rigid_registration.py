"""Where one image of a head lies in the world of another: turned and shifted, never stretched."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from common.arrays import BoolArray, FloatArray
from common.errors import SiteDataError
from common.imaging.mutual_information import joint_histogram, mutual_information
from common.imaging.sitk_image import RAS_TO_LPS, from_sitk, one_thread, to_sitk
from common.imaging.volume import Volume
from common.seeds import derived_seed

log = logging.getLogger(__name__)

LEVELS_MM = (8.0, 4.0, 2.0)
"""Voxel edge of each resolution, coarse to fine: lengths, not factors, for slices are thick."""
N_SAMPLES = 60_000
"""Points at which the two images are compared, at each level."""
N_BINS = 48
MAX_STEPS = 200
SHORTEST_STEP_MM = 1e-3
"""A search ends when its steps are shorter."""
SHORTENED = 0.7
"""What is left of a step's length after the search has turned round: with half of it, a search far
from its goal came to rest on the way."""
RANGE_PERCENTILES = (0.1, 99.9)
"""Values beyond are clipped, so that a few bright vessels do not use up the bins."""
MIN_OVERLAP = 0.3
"""Share of the compared points that both fields of view must hold; a small overlap can agree well
by chance."""
WORSE = 0.99
"""Agreement below this share of what the headers gave is a doubt; less is the points' chance."""
MAX_SHIFT_MM = 60.0
MAX_TURN_DEGREES = 35.0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RigidMove:
    """A registration: the move, and what there is to say for it.

    matrix              (4, 4), RAS+ world mm of the moving image -> RAS+ world mm of the fixed one
    mutual_information  of the two after the move, in nats, inside the mask where one was given
    before              the same with the headers' coordinates believed; 0 where nothing overlaps
    overlap             share of the compared points that lie in both fields of view, after the move
    shift_mm            how far the move takes what lies at the middle of the compared points
    turn_degrees        angle of the rotation
    """

    matrix: FloatArray
    mutual_information: float
    before: float
    overlap: float
    shift_mm: float
    turn_degrees: float

    def doubts(
        self, *, max_shift_mm: float = MAX_SHIFT_MM, max_turn_degrees: float = MAX_TURN_DEGREES
    ) -> tuple[str, ...]:
        """Why the move should be looked at, as the text of a finding; empty if nothing is odd.

        max_shift_mm, max_turn_degrees   the farthest a head is expected to have moved. The defaults
                                         are chosen for two dates; one session calls for less
        """
        doubts = []
        if self.mutual_information < WORSE * self.before:
            doubts.append(
                "the registration made the images agree worse (mutual information "
                f"{self.before:.3f} before, {self.mutual_information:.3f} after)"
            )
        if self.shift_mm > max_shift_mm:
            doubts.append(f"shifted by {self.shift_mm:.0f} mm, more than {max_shift_mm:g}")
        if self.turn_degrees > max_turn_degrees:
            doubts.append(f"turned by {self.turn_degrees:.0f} degrees, over {max_turn_degrees:g}")
        return tuple(doubts)


@one_thread()
def rigid_move(
    fixed: Volume, moving: Volume, *, fixed_mask: Volume | None = None, seed: int = 0
) -> RigidMove:
    """The turn and the shift that bring `moving` onto `fixed`, and how well the two then agree.

    fixed, moving  images of one head, of any contrast, grid and field of view; finite
    fixed_mask     bool, in the world of `fixed`, on any grid: compare there only
    seed           draws the points of comparison

    Source   mutual information after Mattes et al. 2003, doi:10.1109/TMI.2003.809072, as SimpleITK
             has it, with linear interpolation and gradient descent with ever shorter steps. The
             levels, the steps, the numbers of points and of bins are chosen.
    Starts   the headers' coordinates, the centres of mass and the centres of the fields of view;
             the one that agrees best after the coarsest level continues (chosen).

    One thread and a fixed seed: the same images give the same bits. SiteDataError where the images
    do not overlap or hold one value, GeometryError where a grid is skew.
    """
    target, source = _levels(fixed), _levels(moving)
    comparison = _Comparison(
        fixed=from_sitk(target[-1]),
        moving=from_sitk(source[-1]),
        points_mm=_points_mm(fixed, fixed_mask, seed=seed),
    )
    search = _Search(mask=fixed_mask, centre_mm=comparison.points_mm.mean(0), seed=seed)

    best, most = None, 0.0
    for start in _starts(comparison):
        pull = search.improved(start, target[0], source[0], step_mm=LEVELS_MM[0])
        information, overlap = comparison.agreement(pull)
        log.debug("start tried", extra={"information": information, "overlap": overlap})
        if overlap >= MIN_OVERLAP and information > most:
            best, most = pull, information
    if best is None:
        raise SiteDataError(
            "rigid registration: want two images of one head, found no way to lay them over each "
            f"other (less than {MIN_OVERLAP:.0%} of the one lies in the other, or an image holds "
            "one value only). Check that both show the head, and their headers.",
            code="registration",
        )
    for image, other, mm in zip(target[1:], source[1:], LEVELS_MM[1:], strict=True):
        best = search.improved(best, image, other, step_mm=mm)
    after, overlap = comparison.agreement(best)
    cosine = (np.trace(best[:3, :3]) - 1) / 2
    there = best[:3, :3] @ search.centre_mm + best[:3, 3]
    return RigidMove(
        matrix=rigid_inverse(best),
        mutual_information=after,
        before=comparison.agreement(np.eye(4))[0],
        overlap=overlap,
        shift_mm=float(np.linalg.norm(there - search.centre_mm)),
        turn_degrees=float(np.degrees(np.arccos(np.clip(cosine, -1, 1)))),
    )


def rigid_inverse(move: FloatArray) -> FloatArray:
    """The way back of a rigid move, (4, 4): the turn transposed, exactly as rigid as the move."""
    back = np.eye(4)
    back[:3, :3] = move[:3, :3].T
    back[:3, 3] = -move[:3, :3].T @ move[:3, 3]
    return back


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Comparison:
    """The finest level of both images, and the points at which their agreement is judged.

    points_mm   (n, 3), RAS+ world of the fixed image
    """

    fixed: Volume
    moving: Volume
    points_mm: FloatArray

    def agreement(self, pull: FloatArray) -> tuple[float, float]:
        """Mutual information in nats, and the share of the points that lie in both images.

        pull   (4, 4), RAS+ world of the fixed image -> RAS+ world of the moving one
        """
        here, a = _values(self.fixed, self.points_mm)
        there, b = _values(self.moving, self.points_mm @ pull[:3, :3].T + pull[:3, 3])
        both = here & there
        if not both.any():
            return 0.0, 0.0
        joint = joint_histogram(a[both], b[both], n_bins=N_BINS)
        return mutual_information(joint), float(both.mean())


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Search:
    """Gradient ascent of Mattes' mutual information over turns about `centre_mm` and shifts."""

    mask: Volume | None
    centre_mm: FloatArray
    seed: int

    def improved(
        self, start: FloatArray, fixed: sitk.Image, moving: sitk.Image, *, step_mm: float
    ) -> FloatArray:
        """The pull, (4, 4), at which the search from `start` ends.

        step_mm   length of its first step; what SimpleITK cannot follow ends where it starts
        """
        transform = _euler(start, self.centre_mm)
        method = sitk.ImageRegistrationMethod()
        method.SetMetricAsMattesMutualInformation(N_BINS)
        method.SetMetricSamplingStrategy(method.RANDOM)
        method.SetMetricSamplingPercentage(
            min(1.0, N_SAMPLES / self._n_voxels(fixed)),
            derived_seed(self.seed, "registration") % 2**32 or 1,  # 0 would be the clock's
        )
        if self.mask is not None:
            method.SetMetricFixedMask(to_sitk(self.mask))
        method.SetMetricUseFixedImageGradientFilter(False)  # they blur by the slice's thickness,
        method.SetMetricUseMovingImageGradientFilter(False)  # and the search then ends elsewhere
        method.SetInterpolator(sitk.sitkLinear)
        method.SetOptimizerAsRegularStepGradientDescent(
            learningRate=step_mm / 2,
            minStep=SHORTEST_STEP_MM,
            numberOfIterations=MAX_STEPS,
            relaxationFactor=SHORTENED,
            gradientMagnitudeTolerance=1e-8,
        )
        method.SetOptimizerScalesFromPhysicalShift()
        method.SetInitialTransform(transform, inPlace=True)
        try:
            method.Execute(fixed, moving)
        except RuntimeError as error:  # too few points map into the moving image
            log.debug("search ended early", extra={"why": str(error)})
            return start
        return _pull(transform)

    def _n_voxels(self, fixed: sitk.Image) -> float:
        """How many voxels of `fixed` lie in the mask, about; all of them without one."""
        if self.mask is None:
            return float(fixed.GetNumberOfPixels())
        mask_mm3 = np.count_nonzero(self.mask.data) * self.mask.voxel_volume_mm3
        return max(mask_mm3 / float(np.prod(fixed.GetSpacing())), 1.0)


def _levels(volume: Volume) -> list[sitk.Image]:
    """`volume` at each resolution of `LEVELS_MM`: boxes of voxels averaged, as float32.

    An axis with thicker voxels than the level keeps them, and every axis keeps four voxels.
    """
    low, high = np.percentile(volume.data, RANGE_PERCENTILES)
    clipped = np.clip(volume.data, low, high).astype(np.float32)
    image = to_sitk(Volume(clipped, volume.affine))
    spacing, shape = volume.spacing_mm, np.array(volume.data.shape)
    levels = []
    for mm in LEVELS_MM:
        factors = np.clip(np.rint(mm / spacing).astype(int), 1, np.maximum(shape // 4, 1))
        levels.append(sitk.BinShrink(image, factors.tolist()))
    return levels


def _points_mm(fixed: Volume, mask: Volume | None, *, seed: int) -> FloatArray:
    """Points drawn evenly from the field of view of `fixed`, or from `mask`, (n, 3), RAS+ world."""
    rng = np.random.default_rng(derived_seed(seed, "points of comparison"))
    grid = fixed if mask is None else mask
    voxels = np.arange(grid.data.size) if mask is None else np.flatnonzero(mask.data)
    if not len(voxels):
        raise SiteDataError(
            "rigid registration: want voxels in the mask, found it empty: the brain mask may lie "
            "outside the image. Look at both headers."
        )
    drawn = np.stack(np.unravel_index(rng.choice(voxels, N_SAMPLES), grid.data.shape), axis=1)
    jittered = drawn + rng.uniform(-0.5, 0.5, drawn.shape)
    return np.asarray(jittered @ grid.affine[:3, :3].T + grid.affine[:3, 3])


def _values(volume: Volume, points_mm: FloatArray) -> tuple[BoolArray, FloatArray]:
    """Whether each point lies in the field of view, and the value there, linearly, (n,) each."""
    to_index = np.linalg.inv(volume.affine)
    index = points_mm @ to_index[:3, :3].T + to_index[:3, 3]
    inside = ((index >= -0.5) & (index <= np.array(volume.data.shape) - 0.5)).all(1)
    return inside, ndimage.map_coordinates(volume.data, index.T, order=1, mode="nearest")


def _starts(comparison: _Comparison) -> Iterator[FloatArray]:
    """Pulls to start from, (4, 4): the headers', centre of mass on centre of mass, middle on
    middle."""
    points, moving = comparison.points_mm, comparison.moving
    _, values = _values(comparison.fixed, points)
    mass = points.T @ _weights(values)
    yield np.eye(4)
    moving_mass = np.array(ndimage.center_of_mass(_weights(moving.data)))
    yield _shift(_world(moving, moving_mass) - mass)
    yield _shift(_middle(moving) - _middle(comparison.fixed))


def _weights(values: NDArray[Any]) -> FloatArray:
    """`values` above their lowest, with the sum 1; equal where they are all one value."""
    above = values.astype(np.float64) - values.min()
    total = above.sum()
    return above / total if total > 0 else np.full(values.shape, 1 / values.size)


def _middle(volume: Volume) -> FloatArray:
    return _world(volume, (np.array(volume.data.shape) - 1) / 2)


def _world(volume: Volume, index: FloatArray) -> FloatArray:
    return np.asarray(volume.affine[:3, :3] @ index + volume.affine[:3, 3])


def _shift(by_mm: FloatArray) -> FloatArray:
    move = np.eye(4)
    move[:3, 3] = by_mm
    return move


def _euler(pull: FloatArray, centre_mm: FloatArray) -> sitk.Euler3DTransform:
    """`pull` as SimpleITK's transform, which turns about `centre_mm`."""
    lps = RAS_TO_LPS @ pull @ RAS_TO_LPS
    centre = RAS_TO_LPS[:3, :3] @ centre_mm
    transform = sitk.Euler3DTransform()
    transform.SetCenter(centre.tolist())
    transform.SetMatrix(lps[:3, :3].ravel().tolist())
    transform.SetTranslation((lps[:3, :3] @ centre + lps[:3, 3] - centre).tolist())
    return transform


def _pull(transform: sitk.Euler3DTransform) -> FloatArray:
    """SimpleITK's transform as (4, 4), RAS+ world of the fixed image -> that of the moving one."""
    lps = np.eye(4)
    lps[:3, :3] = np.reshape(transform.GetMatrix(), (3, 3))
    lps[:3, 3] = transform.TransformPoint((0.0, 0.0, 0.0))
    return np.asarray(RAS_TO_LPS @ lps @ RAS_TO_LPS)
