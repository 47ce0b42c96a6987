"""Scanners that differ, and what one of them makes of a subject."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from common.arrays import BoolArray
from common.imaging.volume import Volume
from common.phantom.acquisition import Acquisition, strata
from common.phantom.grid import Field, PhantomGrid, resampled
from common.phantom.subject import Subject
from common.phantom.tissue_signal import Contrast, flair_signal, t1w_signal
from common.seeds import derived_seed

Ranges = Mapping[str, tuple[float, float]]
"""Parameter of a pulse sequence -> lowest and highest value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PulseSequence(Acquisition):
    """One pulse sequence of one scanner, with the contrast it shows.

    ghost       signal that pulsation of fluid and vessels casts elsewhere, as a share of white
                matter's
    ghost_mm    how far each ghost lies from the one before it
    """

    contrast: Contrast
    ghost: float = 0.0
    ghost_mm: float = 30.0

    def phase_axis(self) -> int:
        """Direction of phase encoding: front-back, in coronal slices left-right."""
        return 0 if self.slice_axis == 1 else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanner:
    """What one site scans with, and strips with.

    looseness   0 to 1, how much of the skull and the eyes its stripping leaves in
    """

    flair: PulseSequence
    t1w: PulseSequence
    looseness: float = 0.0


def drawn_scanners(
    n: int, seed: int, *, flair: Ranges | None = None, t1w: Ranges | None = None
) -> list[Scanner]:
    """`n` different scanners from one distribution; the same seed draws the same ones.

    flair, t1w   ranges that take the place of those of FLAIR_RANGES and T1W_RANGES

    Each parameter's range is cut in `n` equal parts and every scanner gets another part (Latin
    hypercube), so that few scanners span the ranges and no scanner lies outside them.
    """
    flairs = _drawn_sequences(
        {**FLAIR_RANGES, **(flair or {})},
        white=_FLAIR_WHITE,
        slice_axes=(0, 2, 2),
        n=n,
        seed=derived_seed(seed, "scanners", "FLAIR"),
    )
    t1ws = _drawn_sequences(
        {**T1W_RANGES, **(t1w or {})},
        white=_T1W_WHITE,
        slice_axes=(0, 1, 2),
        n=n,
        seed=derived_seed(seed, "scanners", "T1w"),
    )
    return [Scanner(flair=f, t1w=t) for f, t in zip(flairs, t1ws, strict=True)]


def scan(subject: Subject, scanner: Scanner, *, grid: PhantomGrid, seed: int) -> dict[str, Volume]:
    """FLAIR and T1w of one subject on `grid`, int16, 0 outside the stripped brain.

    Noise, bias field and slice position come from `seed` alone: scanners that differ only in
    gain, offset and gamma make images that differ only so.
    """
    brain = stripped_mask(subject, scanner, grid)
    images = {}
    for suffix, sequence, signal in (
        ("FLAIR", scanner.flair, flair_signal(subject, scanner.flair.contrast)),
        ("T1w", scanner.t1w, t1w_signal(subject, scanner.t1w.contrast)),
    ):
        rng = np.random.default_rng(derived_seed(seed, "scan", suffix))
        seen = sequence.acquired(
            _with_ghosts(signal, subject, sequence),
            subject.anatomy.grid,
            target=grid,
            box_mm=subject.anatomy.box_mm,
            bias_scale_mm=70.0,
            rng=rng,
        )
        images[suffix] = Volume(sequence.stored(seen, brain), grid.affine)
    return images


def brain_mask(subject: Subject, grid: PhantomGrid) -> BoolArray:
    """Where at least half of a voxel of `grid` is brain."""
    return resampled(subject.anatomy.brain, subject.anatomy.grid, grid) > 0.5


def stripped_mask(subject: Subject, scanner: Scanner, grid: PhantomGrid) -> BoolArray:
    """What a stripping of the scanner's looseness takes for brain: the brain, and remnants."""
    brain = brain_mask(subject, grid)
    if scanner.looseness == 0:
        return brain
    left = resampled(subject.remnants, subject.anatomy.grid, grid) > 1.0 - scanner.looseness
    return brain | left


def _with_ghosts(signal: Field, subject: Subject, sequence: PulseSequence) -> Field:
    """`signal` with the first two ghosts on either side of what moves, alternating in sign."""
    if sequence.ghost == 0:
        return signal
    moving = 0.5 * subject.flow * subject.anatomy.fraction("csf") + subject.vessels
    moving = sequence.contrast.white * moving
    axis = sequence.phase_axis()
    step = max(1, round(sequence.ghost_mm / subject.anatomy.grid.spacing_mm[axis]))
    out = signal.copy()
    for n, share in _GHOSTS.items():
        out += sequence.ghost * share * np.roll(moving, n * step, axis)
    return out


def lesion_mask(subject: Subject, grid: PhantomGrid) -> BoolArray:
    """The reference: where more than half of a voxel of `grid` is lesion."""
    lesion = resampled(subject.lesions.fraction, subject.anatomy.grid, grid) > 0.5
    return lesion & brain_mask(subject, grid)


_GHOSTS = {-2: -0.5, -1: 1.0, 1: 1.0, 2: -0.5}
"""Number of the ghost -> its share of the first one's strength. Chosen."""
_FLAIR_WHITE = 0.55
FLAIR_RANGES = {
    "csf": (0.06, 0.25),
    "cortex": (1.12, 1.38),
    "deep_grey": (0.98, 1.22),
    "lesion": (1.44, 1.53),
    "texture": (1.25, 1.6),
    "glow": (1.05, 1.4),
    "flow": (0.1, 1.0),
    "gamma": (0.7, 1.4),
    "gain": (400.0, 3000.0),
    "offset": (0.0, 120.0),
    "bias_field": (0.08, 0.14),
    "noise": (0.02, 0.07),
    "in_plane_mm": (0.9, 1.4),
    "slice_mm": (1.0, 3.6),
    "truncation": (0.0, 0.0),
    "filter_mm": (0.0, 0.0),
    "ghost": (0.0, 0.0),
    "ghost_mm": (30.0, 30.0),
    "grain": (0.0, 0.0),
    "vessel": (0.3, 0.3),
    "vessels": (0.0, 0.0),
    "remnant": (0.0, 0.0),
}
_T1W_WHITE = 0.8
T1W_RANGES = {
    "csf": (0.1, 0.28),
    "cortex": (0.62, 0.8),
    "deep_grey": (0.74, 0.88),
    "lesion": (0.7, 1.02),
    "texture": (0.3, 0.8),
    "glow": (0.0, 0.0),
    "flow": (0.0, 0.0),
    "gamma": (0.75, 1.35),
    "gain": (300.0, 2000.0),
    "offset": (0.0, 80.0),
    "bias_field": (0.03, 0.12),
    "noise": (0.02, 0.08),
    "in_plane_mm": (0.9, 1.3),
    "slice_mm": (1.0, 2.5),
    "truncation": (0.0, 0.0),
    "filter_mm": (0.0, 0.0),
    "ghost": (0.0, 0.0),
    "ghost_mm": (30.0, 30.0),
    "grain": (0.0, 0.0),
    "vessel": (0.3, 0.3),
    "vessels": (0.0, 0.0),
    "remnant": (0.0, 0.0),
}
"""Lowest and highest value a scanner may have. `cortex` and `deep_grey` are shares of white matter,
`lesion` of cortex. All chosen, by eye beside real images, so that no single FLAIR threshold finds
the lesions and a network of one site does worse on another. The last eight are off here, and on in
`benchmark_sites`."""


def _drawn_sequences(
    ranges: Ranges,
    *,
    white: float,
    slice_axes: tuple[int, ...],
    n: int,
    seed: int,
) -> list[PulseSequence]:
    drawn = {
        name: np.round(low + (high - low) * strata(n, derived_seed(seed, name)), 4).tolist()
        for name, (low, high) in ranges.items()
    }
    axes = (strata(n, derived_seed(seed, "slice_axis")) * len(slice_axes)).astype(int)
    return [
        _sequence(
            {name: float(values[i]) for name, values in drawn.items()},
            white=white,
            slice_axis=slice_axes[axes[i]],
        )
        for i in range(n)
    ]


def _sequence(value: dict[str, float], *, white: float, slice_axis: int) -> PulseSequence:
    contrast = Contrast(
        csf=value["csf"],
        cortex=round(white * value["cortex"], 4),
        deep_grey=round(white * value["deep_grey"], 4),
        white=white,
        lesion=round(white * value["cortex"] * value["lesion"], 4),
        texture=value["texture"],
        glow=value["glow"],
        flow=value["flow"],
        grain=value["grain"],
        vessel=value["vessel"],
        vessels=value["vessels"],
        remnant=value["remnant"],
    )
    return PulseSequence(
        contrast=contrast,
        gamma=value["gamma"],
        gain=value["gain"],
        offset=value["offset"],
        bias_field=value["bias_field"],
        noise=value["noise"],
        in_plane_mm=value["in_plane_mm"],
        slice_mm=value["slice_mm"],
        slice_axis=slice_axis,
        truncation=value["truncation"],
        filter_mm=value["filter_mm"],
        ghost=value["ghost"],
        ghost_mm=value["ghost_mm"],
    )
