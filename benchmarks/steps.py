"""What users wait for: a training step, a prepared case, a segmented case, a scored case.

    make bench

Prints minimum, median and 90th percentile in seconds of wall time, and the median of CPU time, with
the machine's name. Compare figures of one call only: machines differ, and so do their loads.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from common.imaging.dataset.prepared_site import PreparedSite, prepared_site
from common.imaging.standardization.template import Template
from common.learning.model import new_network, new_site_head
from common.learning.sampling.registry import build_sampler
from common.learning.segmentation import segment
from common.learning.training import train_locally
from common.metrics.case import score_case
from common.metrics.presets import MSSEG2016
from common.phantom.consortium import make_consortium
from common.recipe.recipe import Recipe, load_recipe

TEMPLATE: Template = {"FLAIR": (0.6, 1.0, 1.3), "T1w": (0.6, 1.0, 1.3)}
N_RUNS = 9


def main() -> None:
    """Times each thing on a phantom of the default grid."""
    recipe = load_recipe("default")
    torch.set_num_threads(recipe.compute.threads)
    with TemporaryDirectory() as folder:
        base = Path(folder)
        show("phantom subject", lambda run: phantom(base / f"phantom-{run}"), n_runs=3)
        data = base / "phantom-0" / "site-1"
        show("intake and standardization of a case", lambda run: prepare(data, base, recipe, run))
        [case] = prepare(data, base, recipe, 0).cases
        steps = load_recipe("default", overrides=["optimizer.steps=1"])
        network = new_network(recipe)
        head = new_site_head(recipe, network, 4)
        sampler = build_sampler([case], recipe)
        show(
            "training step",
            lambda run: train_locally(
                network,
                head,
                sampler,
                recipe=steps,
                sites=[0],
                round_index=1,
                seed=run,
            ),
        )
        show("segmentation of a case", lambda run: segment(network, case, recipe))
        assert case.lesions is not None, "phantoms have a reference"
        reference = np.asarray(case.lesions)
        found = np.roll(reference, 1, axis=0)
        spacing_mm = case.on_file_grid(case.brain).spacing_mm
        show(
            "score of a case",
            lambda run: score_case(reference, found, spacing_mm=spacing_mm, definition=MSSEG2016),
        )


def phantom(out: Path) -> None:
    make_consortium(out, n_sites=1, n_subjects=1, seed=0, spacing_mm=2.0)


def prepare(data: Path, base: Path, recipe: Recipe, run: int) -> PreparedSite:
    return prepared_site(data, recipe=recipe, template=TEMPLATE, store=base / f"store-{run}")


def show(what: str, act: Callable[[int], object], *, n_runs: int = N_RUNS) -> None:
    """Prints how long `act` takes; it gets the number of the run, and the first is warm-up."""
    wall, cpu = [], []
    for run in range(n_runs + 1):
        wall_0, cpu_0 = time.perf_counter(), time.process_time()
        act(run)
        wall.append(time.perf_counter() - wall_0)
        cpu.append(time.process_time() - cpu_0)
    low, middle, high = np.quantile(wall[1:], (0, 0.5, 0.9))
    print(
        f"{what:40} min {low:7.3f}  median {middle:7.3f}  p90 {high:7.3f}  "
        f"CPU {np.median(cpu[1:]):7.3f}"
    )


if __name__ == "__main__":
    print(f"{platform.node()}, {platform.machine()}, torch {torch.__version__}")
    main()
