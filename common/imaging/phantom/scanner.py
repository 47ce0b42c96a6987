"""Scanners that differ, and what one of them makes of a subject."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.imaging.phantom.grid import (
    BRAIN_BOX_MM,
    Field,
    Grid,
    covering,
    resampled,
    smooth_noise,
)
from common.imaging.phantom.subject import Subject
from common.imaging.volume import Volume
from common.seeds import derived_seed


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """Signal of each tissue in one sequence, white matter of the FLAIR and of the T1w near 0.6.

    lesion    signal of a lesion at full contrast
    texture   factor on the variation within tissues
    glow      factor on what is bright in FLAIR and no lesion; 0 in T1w
    flow      how much of the fluid's nulling flow undoes, 0 to 1; 0 in T1w
    """

    csf: float
    cortex: float
    deep_grey: float
    white: float
    lesion: float
    texture: float
    glow: float
    flow: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence:
    """One pulse sequence of one scanner, from the tissues' signal to stored numbers.

    stored = offset + gain * signal ** gamma, with bias field and noise in the signal

    bias_field     strength of the smooth multiplicative field, standard deviation of its logarithm
    noise          standard deviation of both noise channels (Rician), in units of the signal
    in_plane_mm    voxel size along the two axes of a slice
    slice_mm       slice thickness and distance
    slice_axis     0 sagittal, 1 coronal, 2 axial slices
    """

    contrast: Contrast
    gamma: float
    gain: float
    offset: float
    bias_field: float
    noise: float
    in_plane_mm: float
    slice_mm: float
    slice_axis: int

    def spacing_mm(self) -> tuple[float, float, float]:
        """Size of an acquired voxel along i, j and k."""
        sizes = [self.in_plane_mm] * 3
        sizes[self.slice_axis] = self.slice_mm
        return sizes[0], sizes[1], sizes[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanner:
    """What one site scans with."""

    flair: Sequence
    t1w: Sequence


def drawn_scanners(n: int, seed: int) -> list[Scanner]:
    """`n` different scanners from one distribution; the same seed draws the same ones.

    Each parameter's range is cut in `n` equal parts and every scanner gets another part (Latin
    hypercube), so that few scanners span the ranges and no scanner lies outside them.
    """
    flair = _Strata(n, derived_seed(seed, "scanners", "FLAIR"))
    t1w = _Strata(n, derived_seed(seed, "scanners", "T1w"))
    flairs, t1ws = _flair_sequences(flair, n), _t1w_sequences(t1w, n)
    return [Scanner(flair=f, t1w=t) for f, t in zip(flairs, t1ws, strict=True)]


def scan(subject: Subject, scanner: Scanner, *, grid: Grid, seed: int) -> dict[str, Volume]:
    """FLAIR and T1w of one subject on `grid`, brain only, int16, 0 outside the brain.

    Noise, bias field and slice position come from `seed` alone: scanners that differ only in
    gain, offset and gamma make images that differ only so.
    """
    brain = brain_mask(subject, grid)
    images = {}
    for suffix, sequence, signal in (
        ("FLAIR", scanner.flair, flair_signal(subject, scanner.flair.contrast)),
        ("T1w", scanner.t1w, t1w_signal(subject, scanner.t1w.contrast)),
    ):
        rng = np.random.default_rng(derived_seed(seed, "scan", suffix))
        seen = _acquired(signal, subject.anatomy.grid, sequence, grid, rng)
        images[suffix] = Volume(_stored(seen, brain, sequence), grid.affine)
    return images


def brain_mask(subject: Subject, grid: Grid) -> NDArray[np.bool_]:
    """Where at least half of a voxel of `grid` is brain."""
    return resampled(subject.anatomy.brain, subject.anatomy.grid, grid) > 0.5


def lesion_mask(subject: Subject, grid: Grid) -> NDArray[np.bool_]:
    """The reference: where more than half of a voxel of `grid` is lesion."""
    lesion = resampled(subject.lesions.fraction, subject.anatomy.grid, grid) > 0.5
    return lesion & brain_mask(subject, grid)


def flair_signal(subject: Subject, contrast: Contrast) -> Field:
    """FLAIR signal on the anatomy's grid: fluid dark, grey over white matter, lesions bright."""
    full = contrast.lesion - contrast.white
    signal = _tissue_signal(subject, contrast)
    signal += (
        contrast.flow
        * subject.flow
        * subject.anatomy.fraction("csf")
        * (contrast.white - contrast.csf)
    )
    signal += subject.plexus * (contrast.white + 0.6 * full - contrast.csf)
    signal += contrast.glow * full * subject.glow
    signal += contrast.glow * full * subject.dura
    return _with_lesions(signal, subject, contrast, subject.lesions.brightness)


def t1w_signal(subject: Subject, contrast: Contrast) -> Field:
    """T1w signal on the anatomy's grid: white over grey matter over fluid, lesions like grey."""
    signal = _tissue_signal(subject, contrast)
    signal += subject.plexus * (contrast.cortex - contrast.csf)
    signal += 0.5 * subject.dura * contrast.cortex
    return _with_lesions(signal, subject, contrast, subject.lesions.darkness)


def _tissue_signal(subject: Subject, contrast: Contrast) -> Field:
    anatomy = subject.anatomy
    signal = contrast.csf * (anatomy.fraction("csf") + anatomy.fraction("ventricle"))
    for tissue, level in (
        ("cortex", contrast.cortex),
        ("deep_grey", contrast.deep_grey),
        ("white", contrast.white),
    ):
        signal = signal + level * anatomy.fraction(tissue)
    return (signal + contrast.texture * contrast.white * subject.texture).astype(np.float32)


def _with_lesions(signal: Field, subject: Subject, contrast: Contrast, share: Field) -> Field:
    lesion = subject.lesions.fraction
    ground = signal + lesion * (contrast.white - signal)
    return ground + share * (contrast.lesion - contrast.white)


def _acquired(
    signal: Field, grid: Grid, sequence: Sequence, target: Grid, rng: np.random.Generator
) -> Field:
    """`signal` through one acquisition, on `target`: bias field, slices, noise, resampling."""
    bias = np.exp(sequence.bias_field * smooth_noise(rng, grid, scale_mm=70.0))
    spacing = sequence.spacing_mm()
    low, high = BRAIN_BOX_MM
    shift = rng.uniform(-0.5, 0.5, size=3) * spacing
    slices = covering(
        (
            (low[0] + shift[0], low[1] + shift[1], low[2] + shift[2]),
            (high[0] + shift[0], high[1] + shift[1], high[2] + shift[2]),
        ),
        spacing,
    )
    received = resampled(signal * bias, grid, slices)
    real = received + sequence.noise * rng.standard_normal(slices.shape, dtype=np.float32)
    imaginary = sequence.noise * rng.standard_normal(slices.shape, dtype=np.float32)
    return resampled(np.hypot(real, imaginary), slices, target)


def _stored(seen: Field, brain: NDArray[np.bool_], sequence: Sequence) -> NDArray[np.int16]:
    value = sequence.offset + sequence.gain * np.power(np.maximum(seen, 0.0), sequence.gamma)
    return np.where(brain, np.clip(np.rint(value), 1, 32_000), 0).astype(np.int16)


class _Strata:
    """One draw a scanner from each parameter's range, no two from the same part of it."""

    def __init__(self, n: int, seed: int) -> None:
        self._n = n
        self._seed = seed

    def draw(self, name: str, low: float, high: float) -> list[float]:
        rng = np.random.default_rng(derived_seed(self._seed, name))
        place = (rng.permutation(self._n) + rng.random(self._n)) / self._n
        return [round(low + (high - low) * float(p), 4) for p in place]


def _flair_sequences(strata: _Strata, n: int) -> list[Sequence]:
    draw = strata.draw
    white = 0.55
    csf = draw("csf", 0.06, 0.25)
    cortex = draw("cortex", 1.12, 1.38)
    deep = draw("deep_grey", 0.98, 1.22)
    lesion = draw("lesion over cortex", 1.42, 1.52)
    texture = draw("texture", 1.15, 1.6)
    glow = draw("glow", 0.9, 1.4)
    flow = draw("flow", 0.1, 1.0)
    gamma = draw("gamma", 0.7, 1.4)
    gain = draw("gain", 400.0, 3000.0)
    offset = draw("offset", 0.0, 120.0)
    bias = draw("bias_field", 0.08, 0.14)
    noise = draw("noise", 0.02, 0.07)
    in_plane = draw("in_plane_mm", 0.9, 1.4)
    thickness = draw("slice_mm", 1.0, 3.6)
    axis = draw("slice_axis", 0.0, 1.0)
    return [
        Sequence(
            contrast=Contrast(
                csf=csf[i],
                cortex=round(white * cortex[i], 4),
                deep_grey=round(white * deep[i], 4),
                white=white,
                lesion=round(white * cortex[i] * lesion[i], 4),
                texture=texture[i],
                glow=glow[i],
                flow=flow[i],
            ),
            gamma=gamma[i],
            gain=gain[i],
            offset=offset[i],
            bias_field=bias[i],
            noise=noise[i],
            in_plane_mm=in_plane[i],
            slice_mm=thickness[i],
            slice_axis=0 if axis[i] < 0.3 else 2,
        )
        for i in range(n)
    ]


def _t1w_sequences(strata: _Strata, n: int) -> list[Sequence]:
    draw = strata.draw
    white = 0.8
    csf = draw("csf", 0.1, 0.28)
    cortex = draw("cortex", 0.62, 0.8)
    deep = draw("deep_grey", 0.74, 0.88)
    lesion = draw("lesion", 0.45, 0.8)
    texture = draw("texture", 0.3, 0.8)
    gamma = draw("gamma", 0.75, 1.35)
    gain = draw("gain", 300.0, 2000.0)
    offset = draw("offset", 0.0, 80.0)
    bias = draw("bias_field", 0.03, 0.12)
    noise = draw("noise", 0.02, 0.08)
    in_plane = draw("in_plane_mm", 0.9, 1.3)
    thickness = draw("slice_mm", 1.0, 2.5)
    axis = draw("slice_axis", 0.0, 3.0)
    return [
        Sequence(
            contrast=Contrast(
                csf=csf[i],
                cortex=round(white * cortex[i], 4),
                deep_grey=round(white * deep[i], 4),
                white=white,
                lesion=round(white * lesion[i], 4),
                texture=texture[i],
                glow=0.0,
                flow=0.0,
            ),
            gamma=gamma[i],
            gain=gain[i],
            offset=offset[i],
            bias_field=bias[i],
            noise=noise[i],
            in_plane_mm=in_plane[i],
            slice_mm=thickness[i],
            slice_axis=min(2, int(axis[i])),
        )
        for i in range(n)
    ]
