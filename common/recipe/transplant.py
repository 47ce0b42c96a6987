"""Where the augmentation `lesion-transplant` cannot work."""

from __future__ import annotations

from collections.abc import Iterator

from common.recipe.preprocessing import Preprocessing
from common.recipe.sampling import Sampling
from common.recipe.standardization import Standardization
from common.recipe.task import Task


def transplant_faults(
    sampling: Sampling, task: Task, preprocessing: Preprocessing, standardization: Standardization
) -> Iterator[str]:
    """A sentence for each setting that does not go with it, with what to change.

    None where the recipe does not have the augmentation, or with the sampler `voxels`, which allows
    no such augmentation at all.
    """
    if "lesion-transplant" not in sampling.augment or sampling.name == "voxels":
        return
    which = "sampling.augment 'lesion-transplant' draws lesions"
    if task.dates == 2 or task.modalities not in (("FLAIR",), ("FLAIR", "T1w")):
        yield (
            f"{which} bright in the FLAIR and dark in the T1w of one date, and task.target is "
            f"{task.target!r} with modalities {task.modalities}; take it out, or set "
            "task.modalities to FLAIR, or FLAIR and T1w, and task.target to 'lesions'"
        )
    if sampling.name == "centreline" or "cord" in preprocessing.steps:
        yield f"{which} of the brain, and the recipe looks at the spinal cord; take it out"
    if sampling.lesion_share == 1:
        yield (
            f"{which} into patches without a lesion, and with sampling.lesion_share 1 there are "
            "none; lower it, or take the augmentation out"
        )
    if standardization.method == "none":
        yield (
            f"{which} in z-scores, and standardization.method 'none' leaves the scanner's units; "
            "choose two-step, nyul or z-score"
        )
