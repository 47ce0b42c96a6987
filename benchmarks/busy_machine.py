"""A training step of the default network with two threads, quiet and beside two busy processes.

    python -m benchmarks.busy_machine

Threads of OpenMP that wait for each other look for work before they sleep. Beside other work on as
many cores that costs many times the step: see docs/adr/0052. Prints for each way to wait the median
wall and CPU time of a step, quiet and busy, and a digest of what was learned, which is to be the
same. Run it on a machine that does nothing else: two minutes on 2 cores.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import lesionfed

N_BUSY = 2
N_STEPS = 15
WAITS: Mapping[str, Mapping[str, str]] = {
    "as OpenMP does by itself": {},
    "GOMP_SPINCOUNT=100000": {"GOMP_SPINCOUNT": "100000"},
    "GOMP_SPINCOUNT=10000": {"GOMP_SPINCOUNT": "10000"},
    "GOMP_SPINCOUNT=1000": {"GOMP_SPINCOUNT": "1000"},
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
}
OURS = f"GOMP_SPINCOUNT={lesionfed.SPINS}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """Medians over the steps, s, and the SHA-256 of the parameters after the last one."""

    wall_s: float
    cpu_s: float
    learned: str


def main() -> None:
    """Prints the table, with what issue and record ask for: busy wall and CPU beside quiet."""
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f} before the start")
    print(
        f"{'':<26} {'quiet: wall':>12} {'CPU':>7} {'busy: wall':>12} {'CPU':>7} {'times wall':>11}"
    )
    learned = set()
    for name, variables in WAITS.items():
        quiet = measured(variables)
        with busy(N_BUSY):
            beside = measured(variables)
        learned |= {quiet.learned, beside.learned}
        mark = "  <- LesionFed" if name == OURS else ""
        print(
            f"{name:<26} {quiet.wall_s:>10.3f} s {quiet.cpu_s:>5.3f} s {beside.wall_s:>10.3f} s "
            f"{beside.cpu_s:>5.3f} s {beside.wall_s / quiet.wall_s:>8.1f} {mark}"
        )
    print("learned the same each time" if len(learned) == 1 else f"learned differently: {learned}")


def measured(variables: Mapping[str, str]) -> Step:
    """A step in a process of its own: the variables count when torch is loaded."""
    environment = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT",)}
    for name in ("OMP_WAIT_POLICY", "OMP_NUM_THREADS"):
        environment.pop(name, None)
    command = [sys.executable, "-m", "benchmarks.busy_machine", "--steps"]
    done = subprocess.run(  # noqa: S603 - this very file
        command, env=environment | dict(variables), capture_output=True, text=True, check=True
    )
    return Step(**json.loads(done.stdout))


@contextmanager
def busy(n: int) -> Iterator[None]:
    """So many processes that compute meanwhile."""
    command = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(command) for _ in range(n)]  # noqa: S603 - as above
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def print_steps() -> None:
    """Trains and prints one line of JSON."""
    import numpy as np
    import torch

    from common.learning.losses.registry import segmentation_loss
    from common.learning.model import new_network
    from common.learning.networks.parameters import parameters_of
    from common.recipe.recipe import load_recipe

    recipe = load_recipe("default", scale="small")
    torch.set_num_threads(2)
    torch.manual_seed(0)
    network = new_network(recipe).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    random = np.random.default_rng(0)
    shape = (recipe.sampling.batch_size, len(recipe.task.modalities), *recipe.sampling.patch_shape)
    wall_s, cpu_s = [], []
    for _ in range(N_STEPS):
        images = torch.from_numpy(random.normal(size=shape).astype(np.float32))
        truth = (images[:, :1] > 2).float()
        started, cpu = time.perf_counter(), time.process_time()
        logits, _ = network(images)
        loss = segmentation_loss(recipe.loss.segmentation, logits, truth)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        optimizer.step()
        wall_s.append(time.perf_counter() - started)
        cpu_s.append(time.process_time() - cpu)
    digest = hashlib.sha256()
    for array in parameters_of(network).values():
        digest.update(array.tobytes())
    medians = {"wall_s": float(np.median(wall_s[3:])), "cpu_s": float(np.median(cpu_s[3:]))}
    print(json.dumps(medians | {"learned": digest.hexdigest()}))


if __name__ == "__main__":
    print_steps() if sys.argv[1:] == ["--steps"] else main()
