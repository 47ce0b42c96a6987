"""What a brain's FLAIR shows besides tissue: grain, vessels, and what stripping left outside."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from common.phantom.anatomy import Anatomy
from common.phantom.grid import Field, smooth_noise


def fine_grain(anatomy: Anatomy, rng: np.random.Generator) -> Field:
    """(i, j, k), relative variation of tissue over 1.6 to 3 mm; cortex varies twice as much.

    Real cortex is a folded sheet with layers and vessels, real white matter a bundle of tracts: no
    two neighbouring voxels are alike. The folia of the cerebellum, which label maps and template
    hold as one mass of cortex, are dark sheets 4.5 mm apart. Strengths chosen beside real FLAIRs.
    """
    grid = anatomy.grid
    finest = max(1.6, 1.6 * grid.spacing_mm[0])
    fine = smooth_noise(rng, grid, scale_mm=finest)
    coarse = smooth_noise(rng, grid, scale_mm=2.0 * finest)
    grey = anatomy.fraction("cortex") + anatomy.fraction("deep_grey")
    grain: Field = (0.5 * fine + 0.5 * coarse) * (0.08 * grey + 0.04 * anatomy.fraction("white"))
    x, y, z = grid.coordinates_mm()
    behind = np.clip((-z - 14.0) / 8.0, 0.0, 1.0) * np.clip((-y - 34.0) / 8.0, 0.0, 1.0)
    from_vermis = np.sqrt(np.square(0.6 * x) + np.square(y + 44.0) + np.square(1.3 * (z + 30.0)))
    bent = 0.25 * smooth_noise(rng, grid, scale_mm=12.0)
    sheets = np.clip(np.cos(2.0 * np.pi * (from_vermis / 4.5 + bent)) - 0.2, 0.0, 0.8)
    grain -= 0.5 * behind * sheets * anatomy.fraction("cortex")
    return grain.astype(np.float32)


def vessels(anatomy: Anatomy, rng: np.random.Generator) -> Field:
    """(i, j, k), share of the voxel that is vessel: flowing blood, dark or bright by the scanner.

    Curves in space where two smooth random fields are both 0: a net of threads about 1 mm wide in
    the sulci, thinner and rarer (perivascular spaces) in white matter; and the superior sagittal
    sinus, at the upper edge of the brain between the halves. Chosen.
    """
    grid = anatomy.grid
    one, other = (smooth_noise(rng, grid, scale_mm=11.0) for _ in range(2))
    threads = np.exp(-(np.square(one) + np.square(other)) / (2 * 0.12**2))
    fluid = anatomy.fraction("csf")
    share = threads * (fluid + 0.5 * anatomy.fraction("cortex") + 0.25 * anatomy.fraction("white"))
    x, y, z = grid.coordinates_mm()
    edge = np.clip(4.0 * (0.9 - ndimage.uniform_filter(anatomy.brain, 5)), 0.0, 1.0)
    between = np.exp(-0.5 * np.square(x / 3.0)) * (z > 10.0) * (y < 60.0)
    share = np.maximum(share, between * edge * fluid)
    seen: Field = np.clip(share, 0.0, 1.0).astype(np.float32)
    return seen


def remnants(anatomy: Anatomy, rng: np.random.Generator) -> Field:
    """(i, j, k), 0 inside the brain and far from it; up to 1 where stripping may leave something.

    Fat and muscle behind the eyes, and patches of skull and scalp within 5 mm of the brain's outer
    edge; none in cisterns and ventricles, which have brain on most sides. The higher the value, the
    tighter a stripping that still leaves the voxel in. Chosen.
    """
    grid = anatomy.grid
    spacing = grid.spacing_mm[0]
    near = np.clip(4.0 * ndimage.gaussian_filter(anatomy.brain, 3.0 / spacing), 0.0, 1.0)
    patches = np.clip(0.45 + 0.25 * smooth_noise(rng, grid, scale_mm=18.0), 0.0, 1.0)
    x, y, z = grid.coordinates_mm()
    left = np.square((x + 30.0) / 14.0)
    right = np.square((x - 30.0) / 14.0)
    ahead = np.square((y - 52.0) / 14.0) + np.square((z + 36.0) / 12.0)
    eyes = rng.uniform(0.3, 1.0) * np.exp(-0.5 * (np.minimum(left, right) + ahead))
    bumps = 1.0 + 0.3 * smooth_noise(rng, grid, scale_mm=5.0)
    left_in = np.maximum(near * patches, np.sqrt(near) * eyes) * bumps
    left_in *= np.clip(1.0 - anatomy.brain, 0.0, 1.0)
    about = ndimage.gaussian_filter(anatomy.brain, 12.0 / spacing, truncate=2.5)
    left_in *= np.clip((0.55 - about) / 0.1, 0.0, 1.0)  # at a flat edge half of what is about
    bounded: Field = np.clip(left_in, 0.0, 1.0).astype(np.float32)
    return bounded
