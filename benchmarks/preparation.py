"""The chain from raw images to one grid, beside a plain SimpleITK script that does the same steps.

    python -m benchmarks.preparation SITES_FOLDER

A real head at 1 mm (the T1w of site `austin`), and a FLAIR made from it: its contrast turned round,
noise added, moved by 4 mm and 5 degrees onto a grid of its own. Each way runs in a process of its
own, pinned to nothing; printed are wall seconds, CPU seconds and peak memory of the process, median
of three. What the two ways differ in is said in `benchmarks/plain_simpleitk.py`.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from common.imaging.grid import Grid
from common.imaging.preprocessing.resampling import resampled
from common.imaging.preprocessing.working_case import WorkingCase, WorkingImage
from common.imaging.volume import Volume, read_volume, write_volume
from common.recipe.recipe import load_recipe

N_RUNS = 3
BOUND_S, BOUND_GB = 120.0, 2.5


def main() -> None:
    """Times both ways on the same two files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sites", type=Path, help="folder that holds the site `austin`")
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        t1w, flair = made_pair(given.sites, Path(folder))
        print(f"{platform.machine()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
        show("our chain", [sys.executable, "-m", "benchmarks.our_chain", str(t1w), str(flair)])
        plain = Path(__file__).with_name("plain_simpleitk.py")
        show("plain SimpleITK", [sys.executable, str(plain), str(t1w), str(flair)])
    print(f"bounds for ours: {BOUND_S:g} s, {BOUND_GB:g} GB")


def made_pair(sites: Path, folder: Path) -> tuple[Path, Path]:
    """The T1w and a FLAIR of it, on disk."""
    found = sorted((sites / "austin").glob("sub-*/anat/*_T1w.nii.gz"))
    if not found:
        raise SystemExit(f"{sites}: want the site `austin` with a T1w of a whole head in it")
    t1w = read_volume(found[0])
    rng = np.random.default_rng(0)
    tissue = t1w.data > np.percentile(t1w.data, 60)
    turned = np.where(tissue, 1.2 * np.percentile(t1w.data, 99) - t1w.data, t1w.data)
    noisy = np.maximum(turned + rng.normal(0, 3, turned.shape), 0).astype(np.float32)
    angle = np.radians(5)
    move = np.eye(4)
    move[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    move[:3, 3] = (4.0, -3.0, 2.0)
    contrast = WorkingImage(volume=Volume(noisy, t1w.affine), to_common=move)
    flair = resampled(contrast, Grid.of(t1w), interpolation="linear")
    paths = (folder / "t1w.nii.gz", folder / "flair.nii.gz")
    for volume, path in zip((t1w, flair), paths, strict=True):
        write_volume(volume, path)
    return paths


def our_case(t1w: Path, flair: Path) -> WorkingCase:
    """What `lesionfed-site prepare` starts from."""
    images = {
        name: WorkingImage(volume=read_volume(path), to_common=np.eye(4))
        for name, path in (("FLAIR", flair), ("T1w", t1w))
    }
    reference = load_recipe("default").preprocessing.reference_of(tuple(images))
    return WorkingCase(images=images, reference=reference)


def show(name: str, command: list[str]) -> None:
    """Runs the command a few times and prints its medians."""
    runs = [measured(command) for _ in range(N_RUNS)]
    wall_s, cpu_s, peak_gb = (statistics.median(column) for column in zip(*runs, strict=True))
    print(f"{name:18} {wall_s:7.1f} s wall {cpu_s:7.1f} s CPU {peak_gb:5.2f} GB peak")


def measured(command: list[str]) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak memory in GB of one process."""
    started = time.monotonic()
    child = os.posix_spawn(command[0], command, dict(os.environ))
    _, status, used = os.wait4(child, 0)
    if status != 0:
        raise SystemExit(f"{' '.join(command)}: ended with status {status}")
    cpu_s = used.ru_utime + used.ru_stime
    return time.monotonic() - started, cpu_s, used.ru_maxrss / 1e6  # kB on Linux


if __name__ == "__main__":
    main()
