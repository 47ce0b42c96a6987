"""What does not go with the network `cascade`."""

from __future__ import annotations

from collections.abc import Iterator

from common.recipe.federation import Federation
from common.recipe.inference import Inference
from common.recipe.network import CascadeSettings, Network
from common.recipe.standardization import Standardization
from common.recipe.task import Task


def cascade_faults(
    network: Network,
    task: Task,
    standardization: Standardization,
    inference: Inference,
    federation: Federation,
) -> Iterator[str]:
    """A sentence for each setting that does not go with it, with what to change.

    Its bounds are z-scores of the first modality, where lesions must be bright. None with another
    network.
    """
    if not isinstance(network, CascadeSettings):
        return
    if task.modalities[0] != "FLAIR":
        yield (
            "network 'cascade' looks for bright voxels of the first modality, which must be FLAIR; "
            f"task.modalities are {task.modalities}. Put FLAIR first, or choose another "
            "network"
        )
    if task.dates != 1:
        yield (
            "network 'cascade' looks at one date, and task.target 'new-lesions' has two; set "
            "task.target to 'lesions', or choose another network"
        )
    if inference.flips != "none":
        yield (
            f"inference.flips {inference.flips!r} does not go with network 'cascade', which "
            "asks for each candidate voxel by itself; set it to 'none'"
        )
    if federation.moving_average:
        yield (
            "federation.moving_average does not go with network 'cascade': the second network "
            "learns from the mistakes of one first network, not of an average; set it to 0"
        )
    if standardization.method == "none":
        yield (
            "network.candidates_above and network.fallback_above of 'cascade' are z-scores, and "
            "standardization.method 'none' leaves the scanner's units; choose two-step or z-score"
        )
