"""What a scanner makes of a signal: a bias field, slices, noise, stored numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from common.arrays import BoolArray, FloatArray
from common.phantom.grid import (
    Corners,
    Field,
    PhantomGrid,
    covering,
    sampled,
    smooth_noise,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquisition:
    """One pulse sequence of one scanner, from the tissues' signal to stored numbers.

    stored = offset + gain * signal ** gamma, with bias field and noise in the signal

    bias_field     strength of the smooth multiplicative field, standard deviation of its logarithm
    noise          standard deviation of both noise channels (Rician), in units of the signal
    in_plane_mm    voxel size along the two axes of a slice
    slice_mm       slice thickness and distance
    slice_axis     0 sagittal, 1 coronal, 2 axial slices
    truncation     0 to 1, how sharply k-space ends in a slice; lines beside edges from about 0.3
    filter_mm      width at half height of the scanner's smoothing filter; it makes noise coarse
    """

    gamma: float
    gain: float
    offset: float
    bias_field: float
    noise: float
    in_plane_mm: float
    slice_mm: float
    slice_axis: int
    truncation: float = 0.0
    filter_mm: float = 0.0

    def spacing_mm(self) -> tuple[float, float, float]:
        """Size of an acquired voxel along i, j and k."""
        sizes = [self.in_plane_mm] * 3
        sizes[self.slice_axis] = self.slice_mm
        return sizes[0], sizes[1], sizes[2]

    def acquired(
        self,
        signal: Field,
        grid: PhantomGrid,
        *,
        target: PhantomGrid,
        box_mm: Corners,
        bias_scale_mm: float,
        rng: np.random.Generator,
    ) -> Field:
        """`signal` through bias field, slices and noise, resampled to `target`.

        box_mm          corners of the box that the slices cover, but for a random shift
        bias_scale_mm   of the bias field
        """
        bias = np.exp(self.bias_field * smooth_noise(rng, grid, scale_mm=bias_scale_mm))
        spacing = self.spacing_mm()
        low, high = box_mm
        shift = rng.uniform(-0.5, 0.5, size=3) * spacing
        slices = covering(
            (
                (low[0] + shift[0], low[1] + shift[1], low[2] + shift[2]),
                (high[0] + shift[0], high[1] + shift[1], high[2] + shift[2]),
            ),
            spacing,
        )
        truncation = [0.0 if n == self.slice_axis else self.truncation for n in range(3)]
        received = sampled(signal * bias, grid, slices, truncation=truncation)
        real = received + self.noise * rng.standard_normal(slices.shape, dtype=np.float32)
        imaginary = self.noise * rng.standard_normal(slices.shape, dtype=np.float32)
        seen = np.hypot(real, imaginary)
        if self.filter_mm > 0:
            seen = ndimage.gaussian_filter(seen, self.filter_mm / 2.355 / np.array(spacing))
        return sampled(seen, slices, target, truncation=truncation)

    def stored(self, seen: Field, region: BoolArray) -> NDArray[np.int16]:
        """The numbers of an image file: at least 1 in `region`, 0 outside it."""
        value = self.offset + self.gain * np.power(np.maximum(seen, 0.0), self.gamma)
        return np.where(region, np.clip(np.rint(value), 1, 32_000), 0).astype(np.int16)


def strata(n: int, seed: int) -> FloatArray:
    """(n,), one random point of each n-th of [0, 1), in random order."""
    rng = np.random.default_rng(seed)
    points: FloatArray = (rng.permutation(n) + rng.random(n)) / n
    return points
