"""What the cascade's exact inference costs, beside the same network patch by patch.

    python -m benchmarks.cascade_inference

On a phantom brain of 182 x 218 x 182 voxels, with two channels and weights as first drawn:

scattered     100,000 voxels of the brain drawn at random, on one thread: CPU seconds, and those of
              batches of 128 patches cut one by one. The latter go through 5,000 of the voxels and
              count twenty times, alternating with the former.
whole brain   every voxel of the brain with FLAIR z above 0.5, on one thread and two: wall seconds

Batches of patches are timed in torch's usual memory layout and in channels last, which is quicker.
"""

from __future__ import annotations

import copy
import platform
import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.middle_scanner import MIDDLE_SCANNER
from common.arrays import BoolArray, Float32Array, IndexArray
from common.imaging.standardization.standardization import standardize
from common.learning.cascade_segmentation import candidates
from common.learning.exact_patches import probabilities_at
from common.learning.networks.cascade import PATCH_SIDE, PatchCNN, build_cascade
from common.phantom.anatomy import individual, mni_anatomy
from common.phantom.grid import anatomy_grid, common_grid
from common.phantom.lesions import no_lesions
from common.phantom.scanner import brain_mask, scan
from common.phantom.subject import subject_of
from common.recipe.network import CascadeSettings

N_SCATTERED = 100_000
N_PATCH_BY_PATCH = 5_000
BATCH_SIZE = 128
N_RUNS = 3

Image = Float32Array
Found = Float32Array


def main() -> None:
    """Makes the phantom and prints both tables."""
    image, brain = phantom()
    settings = CascadeSettings(name="cascade")
    network = build_cascade(settings, n_channels=2, n_outputs=1, seed=0).first.eval()
    show_scattered(network, image, np.argwhere(brain))
    show_whole_brain(
        network, image, np.argwhere(candidates(image, brain, above=settings.candidates_above))
    )


def phantom() -> tuple[Image, BoolArray]:
    """FLAIR and T1w as z-scores, (2, i, j, k), and the brain of a healthy subject at 1 mm."""
    random = np.random.default_rng(0)
    grid = common_grid(1.0)
    anatomy, _ = individual(mni_anatomy(anatomy_grid(1.0)), random)
    subject = subject_of(anatomy, no_lesions(anatomy.grid), random)
    brain = brain_mask(subject, grid)
    images = scan(subject, MIDDLE_SCANNER, grid=grid, seed=1)
    channels = [
        standardize(images[name].data, brain, method="z-score").image for name in ("FLAIR", "T1w")
    ]
    return np.stack(channels).astype(np.float32), brain


def show_scattered(network: PatchCNN, image: Image, inside: IndexArray) -> None:
    """Prints CPU seconds of each way, their ratios, and how far the probabilities lie apart."""
    torch.set_num_threads(1)
    random = np.random.default_rng(1)
    voxels = inside[random.choice(len(inside), N_SCATTERED, replace=False)]
    some = voxels[:N_PATCH_BY_PATCH]
    channels_last = copy.deepcopy(network)
    channels_last.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload] # torch's stubs lack this form
    ways: dict[str, Callable[[], Found]] = {
        "exact": lambda: probabilities_at(network, image, voxels),
        "patches": lambda: patch_by_patch(network, image, some),
        "patches, channels last": lambda: patch_by_patch(channels_last, image, some),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, Found] = {}
    probabilities_at(network, image, some[:1000])  # warm-up
    patch_by_patch(network, image, some[:1000])
    for _ in range(N_RUNS):
        for name, way in ways.items():
            before = time.process_time()
            found[name] = way()
            spent = time.process_time() - before
            seconds[name].append(spent * N_SCATTERED / len(found[name]))
    print(f"{N_SCATTERED} of {len(inside)} voxels, one thread; CPU seconds of {N_RUNS} runs")
    exact = np.array(seconds["exact"])
    for name, spents in seconds.items():
        low, middle, high = np.min(spents), np.median(spents), np.max(spents)
        ratio = np.median(np.array(spents) / exact)
        print(f"{name:24} min {low:6.2f}  median {middle:6.2f}  max {high:6.2f}  x {ratio:4.2f}")
    apart = np.abs(found["exact"][:N_PATCH_BY_PATCH] - found["patches"]).max()
    print(f"probabilities differ by at most {apart:.1e}")


def patch_by_patch(network: PatchCNN, image: Image, voxels: IndexArray) -> Found:
    """The network's lesion probability at each voxel, (n,), in batches of patches."""
    half = PATCH_SIDE // 2
    padded = np.pad(image, ((0, 0), *[(half, half)] * 3))
    found = []
    with torch.inference_mode():
        for begin in range(0, len(voxels), BATCH_SIZE):
            patches = [
                padded[:, i : i + PATCH_SIDE, j : j + PATCH_SIDE, k : k + PATCH_SIDE]
                for i, j, k in voxels[begin : begin + BATCH_SIZE]
            ]
            logits, _ = network(torch.from_numpy(np.stack(patches)))
            found.append(torch.sigmoid(logits[:, 0]))
    whole: Found = torch.cat(found).numpy()
    return whole


def show_whole_brain(network: PatchCNN, image: Image, voxels: IndexArray) -> None:
    """Prints the time of one pass over all candidates, and the memory it adds at its peak."""
    print(f"{len(voxels)} candidates")
    for n_threads in (1, 2):
        torch.set_num_threads(n_threads)
        Path("/proc/self/clear_refs").write_text("5")  # the peak restarts
        resident_mb = memory_mb("VmRSS")
        wall, cpu = time.perf_counter(), time.process_time()
        probabilities_at(network, image, voxels)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(
            f"whole brain, threads: {n_threads}     wall {wall:6.2f}  CPU {cpu:6.2f}  "
            f"memory {memory_mb('VmHWM') - resident_mb:5.0f} MB above {resident_mb:.0f} MB"
        )


def memory_mb(field: str) -> float:
    """A figure of this process' memory as Linux keeps it, MB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(rf"{field}:\s+(\d+) kB", status)
    assert found is not None, "Linux lists it"
    return int(found[1]) * 1024 / 1e6


if __name__ == "__main__":
    print(f"{platform.node()}, {platform.machine()}, torch {torch.__version__}")
    main()
