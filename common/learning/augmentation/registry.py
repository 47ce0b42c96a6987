"""The augmentations by the names a recipe gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from common.arrays import BoolArray, Float32Array
from common.errors import ConfigError
from common.learning.augmentation.image_quality import with_other_quality
from common.learning.augmentation.lesion_transplant import with_transplanted_lesions
from common.learning.augmentation.mirror import mirrored, mirrored_left_right
from common.learning.augmentation.modality_dropout import with_modalities_missing
from common.learning.augmentation.quarter_turns import turned_by_quarters
from common.learning.augmentation.rotation_scaling import rotated_and_scaled
from common.learning.augmentation.scanner import as_other_scanner

Augmentation = Callable[
    [Float32Array, BoolArray, np.random.Generator], tuple[Float32Array, BoolArray]
]
"""Images (C, i, j, k) and lesions (R, i, j, k) in, both out, of the same shapes."""

AUGMENTATIONS: Mapping[str, Augmentation] = MappingProxyType(
    {
        "mirror-left-right": mirrored_left_right,
        "mirror": mirrored,
        "quarter-turns": turned_by_quarters,
        "image-quality": with_other_quality,
        "lesion-transplant": with_transplanted_lesions,
        "rotation-scaling": rotated_and_scaled,
        "scanner": as_other_scanner,
        "modality-dropout": with_modalities_missing,
    }
)


def augmented(
    images: Float32Array, lesions: BoolArray, names: Sequence[str], random: np.random.Generator
) -> tuple[Float32Array, BoolArray]:
    """Both after the named augmentations, in their order; contiguous, the originals untouched.

    images    (C, i, j, k)
    lesions   (R, i, j, k)
    names     keys of AUGMENTATIONS; ConfigError for another
    """
    for name in names:
        if name not in AUGMENTATIONS:
            raise ConfigError(
                f"no augmentation {name!r}: want one of {', '.join(AUGMENTATIONS)}. "
                "Change sampling.augment."
            )
        images, lesions = AUGMENTATIONS[name](images, lesions, random)
    return np.ascontiguousarray(images), np.ascontiguousarray(lesions)
