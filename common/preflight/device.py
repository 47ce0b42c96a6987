"""Is the recipe's device here?"""

from __future__ import annotations

import os

from common.preflight.check import Check, passed, problem, warning
from common.recipe.recipe import Compute

NAME = "device"


def device(compute: Compute) -> Check:
    """The recipe's device and threads against this machine's."""
    n_cpus = len(os.sched_getaffinity(0))
    cpus = f"{n_cpus} CPU{'s' if n_cpus > 1 else ''}"
    if compute.device == "cuda":
        import torch  # takes seconds

        if not torch.cuda.is_available():
            return problem(
                NAME,
                f"the recipe computes on cuda, and torch finds no GPU here ({cpus})",
                "Check nvidia-smi and the driver, or that the installed torch is a CUDA build; or "
                "agree on compute.device = 'cpu'.",
            )
        return passed(NAME, f"{torch.cuda.get_device_name(0)}, {cpus}")
    if n_cpus < compute.threads:
        return warning(
            NAME,
            f"the recipe computes with {compute.threads} threads, and here are {cpus}",
            "It works, slowly; use a machine with more CPUs, or expect a longer round.",
        )
    return passed(NAME, f"cpu, {compute.threads} threads of {cpus}")
