"""How well one subject's tissues agree over six scanners, and what standardization costs.

    python -m benchmarks.standardization [SPACING_MM] [SUBJECT ...]

Each subject has no lesions and is seen by six scanners that differ

response      in gain, offset and gamma alone: every tissue keeps its place in the order
acquisition   also in noise, bias field, voxel size and slice direction
everything    also in the tissues' contrast, glow and texture: the scanners of a phantom consortium

A figure is the largest less the smallest of the six modes of a tissue, as a percentage of the
distance between the modes of white and grey matter. `undone` is the scanner's curve taken back
exactly, then the z-score: what is left there is not the method's but the images' (noise, contrast)
and the mode's own uncertainty.
"""

from __future__ import annotations

import dataclasses
import functools
import platform
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

from benchmarks.middle_scanner import MIDDLE_SCANNER
from common.arrays import FloatArray
from common.imaging.standardization.brain_voxels import BrainMask, Image
from common.imaging.standardization.standardization import N_LANDMARKS, standardize
from common.imaging.standardization.template import TemplateSums, subject_sums
from common.imaging.volume import Volume, read_mask, read_volume, write_volume
from common.phantom.anatomy import Anatomy, individual, mni_anatomy
from common.phantom.grid import anatomy_grid, common_grid, resampled
from common.phantom.lesions import no_lesions
from common.phantom.scanner import (
    PulseSequence,
    Scanner,
    brain_mask,
    drawn_scanners,
    scan,
)
from common.phantom.subject import subject_of

MODALITIES = ("FLAIR", "T1w")
TISSUES = ("white", "cortex")
PURE = 0.8
"""A voxel with more than this share of a tissue counts as that tissue."""

N_BINS = 256
SMOOTHING_BINS = 24.0
"""Of a tissue's histogram, before its peak is sought. With the 8 bins used before, the modes of
images whose scanner's curve was taken back exactly still differed by up to 23 % of the gap (cortex
of the FLAIR has several bumps); 24 is the first multiple of 8 for which they agree within 2 %."""

RESPONSE = ("gain", "offset", "gamma")
ACQUISITION = ("noise", "bias_field", "in_plane_mm", "slice_mm", "slice_axis")
METHODS: dict[str, dict[str, Any]] = {
    "z-score": {"method": "z-score"},
    "Nyul": {"method": "nyul"},
    "two-step": {"method": "two-step", "map": "piecewise"},
    "smooth": {"method": "two-step", "map": "smooth"},
}
"""Name in the table -> settings of `standardize`; all end in the z-score."""

Spreads = dict[str, dict[str, tuple[float, float]]]
"""Modality -> method -> spread of white and of grey matter, in tissue gaps."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One subject as several scanners see it.

    brain      (i, j, k)
    tissues    white matter and cortex where they are pure, (i, j, k)
    scanners   in the order of the images
    images     modality -> (i, j, k), one a scanner
    """

    brain: BrainMask
    tissues: tuple[BrainMask, BrainMask]
    scanners: tuple[Scanner, ...]
    images: Mapping[str, tuple[Image, ...]]

    def sequences(self, modality: str) -> tuple[PulseSequence, ...]:
        """The scanners' sequences of one modality."""
        return tuple(s.flair if modality == "FLAIR" else s.t1w for s in self.scanners)


def scanners_that_differ(how: str, seed: int) -> tuple[Scanner, ...]:
    """Six scanners that differ in the response, the acquisition or everything."""
    drawn = drawn_scanners(6, seed)
    if how == "everything":
        return tuple(drawn)
    names = RESPONSE if how == "response" else RESPONSE + ACQUISITION
    return tuple(
        Scanner(
            flair=dataclasses.replace(
                MIDDLE_SCANNER.flair, **{n: getattr(s.flair, n) for n in names}
            ),
            t1w=dataclasses.replace(MIDDLE_SCANNER.t1w, **{n: getattr(s.t1w, n) for n in names}),
        )
        for s in drawn
    )


def seen(how: str, *, seed: int, spacing_mm: float) -> Seen:
    """A phantom subject without lesions in six scanners; noise and slices are the same draw."""
    fine, grid = anatomy_grid(spacing_mm), common_grid(spacing_mm)
    random = np.random.default_rng(seed)
    anatomy, _ = individual(_average(spacing_mm), random)
    subject = subject_of(anatomy, no_lesions(fine), random)
    brain = brain_mask(subject, grid)
    white, cortex = (
        brain & (resampled(anatomy.fraction(name), fine, grid) > PURE) for name in TISSUES
    )
    scanners = scanners_that_differ(how, seed)
    scans = [scan(subject, scanner, grid=grid, seed=1) for scanner in scanners]
    images = {name: tuple(each[name].data for each in scans) for name in MODALITIES}
    return Seen(brain, (white, cortex), scanners, images)


@functools.cache
def _average(spacing_mm: float) -> Anatomy:
    return mni_anatomy(anatomy_grid(spacing_mm))


def standardized(images: tuple[Image, ...], brain: BrainMask, **settings: Any) -> list[Image]:
    """The images on their own common scale: the template, where there is one, is their mean."""
    landmarks = None
    method = settings["method"]
    if method in N_LANDMARKS:
        sums = [subject_sums({"-": image}, brain, method=method) for image in images]
        total = sum(sums, TemplateSums.none("-", N_LANDMARKS[method]))
        landmarks = np.array(total.template()["-"])
    results = [standardize(i, brain, template_landmarks=landmarks, **settings) for i in images]
    assert all(each.fallback is None for each in results), "phantoms have three classes"
    return [each.image for each in results]


def undone(image: Image, sequence: PulseSequence, brain: BrainMask) -> Image:
    """The image with the scanner's gain, offset and gamma taken back, then the z-score."""
    signal = np.maximum((image - sequence.offset) / sequence.gain, 0) ** (1 / sequence.gamma)
    return standardize(signal, brain, method="z-score").image


def mode(values: npt.NDArray[Any]) -> float:
    """The peak of the smoothed histogram between the 1st and 99th percentile."""
    counts, edges = np.histogram(values, N_BINS, np.percentile(values, [1, 99]))
    fullest = np.argmax(gaussian_filter1d(counts.astype(float), SMOOTHING_BINS))
    return float(edges[fullest : fullest + 2].mean())


def spreads(of: Seen) -> Spreads:
    """How far the six modes of each tissue lie apart, method by method."""
    table: Spreads = {}
    for modality, images in of.images.items():
        methods = {
            name: standardized(images, of.brain, **settings) for name, settings in METHODS.items()
        }
        methods["undone"] = [
            undone(image, sequence, of.brain)
            for image, sequence in zip(images, of.sequences(modality), strict=True)
        ]
        table[modality] = {name: _spread(results, of) for name, results in methods.items()}
    return table


def _spread(images: list[Image], of: Seen) -> tuple[float, float]:
    white, grey = (np.array([mode(i[tissue]) for i in images]) for tissue in of.tissues)
    gap = abs(float(np.mean(white - grey)))
    return float(np.ptp(white)) / gap, float(np.ptp(grey)) / gap


def show_spreads(spacing_mm: float, subjects: list[int]) -> None:
    """Prints a table for each way to differ: mean over the subjects, and the worst of them."""
    for how in ("response", "acquisition", "everything"):
        tables = [spreads(seen(how, seed=seed, spacing_mm=spacing_mm)) for seed in subjects]
        print(f"\nsix scanners that differ in: {how}; % of the gap, mean (worst) of {subjects}")
        print(f"{'':10}" + "".join(f"{m + ' ' + t:>18}" for m in MODALITIES for t in TISSUES))
        for method in tables[0]["FLAIR"]:
            cells = []
            for modality in MODALITIES:
                for tissue in range(2):
                    values = [100 * table[modality][method][tissue] for table in tables]
                    cells.append(f"{np.mean(values):9.1f} ({max(values):5.1f})")
            print(f"{method:10}" + "".join(f"{cell:>18}" for cell in cells))


def show_cost() -> None:
    """Prints the time from file to file for one volume of 182 x 218 x 182 voxels."""
    of = seen("response", seed=0, spacing_mm=1.0)
    image = of.images["FLAIR"][0]
    print(f"\n{image.shape} voxels, {np.count_nonzero(of.brain)} of them brain; seconds")
    templates = {"two-step": np.array([0.5, 1.0, 1.2]), "nyul": np.linspace(0, 100, 13)}
    with TemporaryDirectory() as folder:
        base = Path(folder)
        for suffix in (".nii", ".nii.gz"):
            write_volume(Volume(image, common_grid(1.0).affine), base / f"image{suffix}")
            write_volume(Volume(of.brain, common_grid(1.0).affine), base / f"brain{suffix}")
            for name, settings in METHODS.items():
                landmarks = templates.get(settings["method"])

                def act(
                    suffix: str = suffix,
                    settings: dict[str, Any] = settings,
                    landmarks: FloatArray | None = landmarks,
                ) -> None:
                    read = read_volume(base / f"image{suffix}")
                    brain = read_mask(base / f"brain{suffix}").data
                    result = standardize(read.data, brain, template_landmarks=landmarks, **settings)
                    write_volume(Volume(result.image, read.affine), base / f"out{suffix}")

                _show_time(f"{name}, {suffix} in and out", act)
        brain = of.brain
        for name, settings in METHODS.items():
            landmarks = templates.get(settings["method"])
            _show_time(
                f"{name}, in memory",
                lambda settings=settings, landmarks=landmarks: standardize(  # type: ignore[misc] # bound now
                    image.astype(np.float32), brain, template_landmarks=landmarks, **settings
                ),
            )


def _show_time(what: str, act: Callable[[], object], n_runs: int = 7) -> None:
    wall, cpu = [], []
    for _ in range(n_runs + 1):
        wall_0, cpu_0 = time.perf_counter(), time.process_time()
        act()
        wall.append(time.perf_counter() - wall_0)
        cpu.append(time.process_time() - cpu_0)
    low, middle, high = np.quantile(wall[1:], (0, 0.5, 0.9))
    print(
        f"{what:32} min {low:6.3f}  median {middle:6.3f}  p90 {high:6.3f}  "
        f"CPU {np.median(cpu[1:]):6.3f}"
    )


if __name__ == "__main__":
    arguments = [float(argument) for argument in sys.argv[1:]]
    print(f"{platform.node()}, {platform.machine()}, numpy {np.__version__}")
    show_spreads(arguments[0] if arguments else 2.0, [int(s) for s in arguments[1:]] or [0, 1, 2])
    show_cost()
