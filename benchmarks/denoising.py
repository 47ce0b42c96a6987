"""What denoising gains and what it costs, on phantoms whose truth is known.

    python -m benchmarks.denoising [--spacing-mm 1] [--seed 0]

One FLAIR phantom with lesions, without bias field, and Rician noise of 3, 6 and 9 % of white
matter. Prints, for each way of denoising:
    rmse      root mean square error inside the brain, part of that of the noisy image
    lesion    contrast of the lesions to the white matter within 3 mm, part of the truth's
    small     the same for lesions below 0.1 mL
    edge      mean step across the border of cortex and fluid, part of the truth's
    s         wall time in seconds, one thread
and the noise level that is found, as part of the true one.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

import cc3d
import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from benchmarks.middle_scanner import MIDDLE_SCANNER
from common.arrays import BoolArray, Float32Array
from common.imaging.preprocessing import denoise
from common.imaging.sitk_image import from_sitk, to_sitk
from common.imaging.volume import Volume
from common.phantom.anatomy import mni_anatomy
from common.phantom.grid import BRAIN_BOX_MM, covering, resampled
from common.phantom.lesions import LesionHabit
from common.phantom.scanner import brain_mask, lesion_mask
from common.phantom.sources import Sources
from common.phantom.tissue_signal import flair_signal
from common.seeds import derived_seed

Field = Float32Array
Mask = BoolArray
Way = Callable[[Volume, Volume], Volume]

LEVELS = (0.03, 0.06, 0.09)
SMALL_ML = 0.1
AROUND_MM = 3.0
HABIT = LesionHabit(
    load_ml=12.0, size=1.0, periventricular=0.5, juxtacortical=0.2, faintest=0.5, edge_mm=1.0
)


def main(argv: Sequence[str] | None = None) -> None:
    arguments = build_parser().parse_args(argv)
    truth, brain, lesions, fluid = phantom(arguments.spacing_mm, arguments.seed)
    white = float(np.median(truth.data[brain.data]))
    rng = np.random.default_rng(derived_seed(arguments.seed, "noise"))
    channels = rng.standard_normal((2, *truth.data.shape), dtype=np.float32)
    print(f"phantom of {truth.data.shape} voxels of {arguments.spacing_mm:g} mm")
    print(f"{'noise':>6} {'way':28} {'rmse':>6} {'lesion':>7} {'small':>6} {'edge':>6} {'s':>6}")
    for level in LEVELS:
        noise = level * white
        noisy = Volume(
            np.hypot(truth.data + noise * channels[0], noise * channels[1]), truth.affine
        )
        found = denoise.noise_level(noisy, brain) / noise
        print(f"{level:6.0%} noise level found / true: {found:.3f}")
        for name, way in WAYS.items():
            start = time.perf_counter()
            result = way(noisy, brain)
            seconds = time.perf_counter() - start
            figures = [
                rmse(result, truth, brain.data) / rmse(noisy, truth, brain.data),
                contrast(result, lesions, brain.data) / contrast(truth, lesions, brain.data),
                contrast(result, small(lesions, truth), brain.data, lesions)
                / contrast(truth, small(lesions, truth), brain.data, lesions),
                step(result, fluid, brain.data) / step(truth, fluid, brain.data),
            ]
            print(f"{level:6.0%} {name:28} " + "  ".join(f"{f:5.3f}" for f in figures), end="")
            print(f" {seconds:6.1f}")


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--spacing-mm", type=float, default=1.0, help="voxel edge, mm (default 1)")
    parser.add_argument("--seed", type=int, default=0, help="of phantom and noise (default 0)")
    return parser


def phantom(spacing_mm: float, seed: int) -> tuple[Volume, Volume, Mask, Mask]:
    """FLAIR without noise, brain, lesions, and where fluid is at least half of the voxel."""
    grid = covering(BRAIN_BOX_MM, (spacing_mm,) * 3)
    sources = Sources(anatomies=(mni_anatomy(grid),))
    subject = sources.subject(0, habit=HABIT, seed=seed, healthy=False)
    anatomy = subject.anatomy
    signal = flair_signal(subject, MIDDLE_SCANNER.flair.contrast)
    brain = brain_mask(subject, grid)
    fluid = anatomy.fraction("csf") + anatomy.fraction("ventricle")
    return (
        Volume(np.where(brain, signal, 0).astype(np.float32), grid.affine),
        Volume(brain, grid.affine),
        lesion_mask(subject, grid),
        resampled(fluid, anatomy.grid, grid) > 0.5,
    )


def rmse(image: Volume, truth: Volume, brain: Mask) -> float:
    return float(np.sqrt(np.mean(np.square(image.data[brain] - truth.data[brain]))))


def small(lesions: Mask, grid: Volume) -> Mask:
    """The lesions below SMALL_ML."""
    labels = cc3d.connected_components(lesions, connectivity=26)
    sizes = np.bincount(labels.ravel()) * grid.voxel_volume_mm3 / 1000
    chosen = sizes < SMALL_ML
    chosen[0] = False
    return np.asarray(chosen[labels])


def contrast(image: Volume, lesions: Mask, brain: Mask, others: Mask | None = None) -> float:
    """Mean of the lesions less the mean of what lies around them."""
    near = ndimage.distance_transform_edt(~lesions, image.spacing_mm) <= AROUND_MM
    around = near & brain & ~(lesions if others is None else others)
    return float(image.data[lesions].mean() - image.data[around].mean())


def step(image: Volume, fluid: Mask, brain: Mask) -> float:
    """Mean absolute difference along i, of neighbours on the two sides of the fluid's border."""
    border = (fluid[1:] != fluid[:-1]) & brain[1:] & brain[:-1]
    signed = np.where(fluid[1:], -1, 1) * (image.data[1:] - image.data[:-1])
    return float(signed[border].mean())


def as_it_is(image: Volume, brain: Volume) -> Volume:
    return image


def gaussian(sigma_voxels: float) -> Way:
    def way(image: Volume, brain: Volume) -> Volume:
        return Volume(ndimage.gaussian_filter(image.data, sigma_voxels), image.affine)

    return way


def curvature_flow(n_iterations: int) -> Way:
    def way(image: Volume, brain: Volume) -> Volume:
        flow = sitk.CurvatureFlowImageFilter()
        flow.SetNumberOfThreads(1)
        flow.SetTimeStep(0.0625)
        flow.SetNumberOfIterations(n_iterations)
        return from_sitk(flow.Execute(to_sitk(image)))

    return way


def anisotropic_diffusion(n_iterations: int) -> Way:
    def way(image: Volume, brain: Volume) -> Volume:
        diffusion = sitk.GradientAnisotropicDiffusionImageFilter()
        diffusion.SetNumberOfThreads(1)
        diffusion.SetTimeStep(0.0625)
        diffusion.SetNumberOfIterations(n_iterations)
        diffusion.SetConductanceParameter(1.0)
        return from_sitk(diffusion.Execute(to_sitk(image)))

    return way


WAYS: dict[str, Way] = {
    "as it is": as_it_is,
    "Gaussian, 0.5 voxel": gaussian(0.5),
    "curvature flow, 2": curvature_flow(2),
    "curvature flow, 5": curvature_flow(5),
    "anisotropic diffusion, 5": anisotropic_diffusion(5),
    "non-local means": denoise.denoised,
}


if __name__ == "__main__":
    main()
