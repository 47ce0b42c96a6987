"""How bright in FLAIR and dark in T1w real lesions are, and what lies about them.

    python -m benchmarks.lesion_contrast FOLDER

FOLDER is a BIDS folder of stripped FLAIR and T1w with a reference for every case. White matter is
where the T1w is among the brightest 40 % of the brain, two voxels inside that and over 5 mm from
every lesion; a contrast is relative to the median over it. Printed for each case: the spread of the
brain over that median (contrast over it is in standard deviations); by the volume of a lesion the
quartiles of its mean contrast; and the median contrast by distance to the border of lesions of 60
mm3 and more. The constants of `common/phantom/transplant.py` and the ranges of
`common/learning/augmentation/lesion_transplant.py` come from here.
"""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy import ndimage

from common.arrays import FloatArray
from common.imaging.dataset.prepared import CaseImages, read_case
from common.imaging.intake.intake import examine
from common.recipe.task import Task

VOLUMES_MM3 = (1, 5, 20, 60, 250, 100_000)
INSIDE_MM = (1.0, 2.0, 3.0, 4.0, 5.0, 9.0)
OUTSIDE_MM = (1.0, 1.9, 3.0, 4.0, 6.0, 9.0)
LARGE_MM3 = 60


def print_contrast(name: str, case: CaseImages) -> None:
    """The figures of one case."""
    assert case.lesions is not None, "every case has a reference"
    brain, lesions = case.brain.data, case.lesions.data.astype(np.bool_)
    spacing = case.brain.spacing_mm
    away = ndimage.distance_transform_edt(~lesions, sampling=spacing)
    t1w = case.images["T1w"].data
    white = brain & (t1w > np.percentile(t1w[brain], 60))
    white = ndimage.binary_erosion(white, iterations=2) & (away > 5)
    contrast = {}
    for modality, image in case.images.items():
        middle = float(np.median(image.data[white]))
        contrast[modality] = image.data / middle - 1.0
        print(f"{name} {modality}: brain varies by {image.data[brain].std() / middle:.3f}")
    parts, _ = ndimage.label(lesions, structure=np.ones((3, 3, 3)))
    volume = np.bincount(parts.ravel())[1:] * case.brain.voxel_volume_mm3
    for low, high in pairwise(VOLUMES_MM3):
        chosen = 1 + np.flatnonzero((volume >= low) & (volume < high))
        if len(chosen) > 2:
            means = {m: ndimage.mean(c, parts, chosen) for m, c in contrast.items()}
            print(f"  {low} to {high} mm3, n = {len(chosen)}: {_quartiles(means)}")
    large = np.isin(parts, 1 + np.flatnonzero(volume >= LARGE_MM3))
    depth = ndimage.distance_transform_edt(large, sampling=spacing)
    near = ndimage.distance_transform_edt(~large, sampling=spacing)
    around = brain & ~lesions & (t1w > np.percentile(t1w[white], 10))
    for what, distance, where, limits in (
        ("inside", depth, large, INSIDE_MM),
        ("outside", near, around, OUTSIDE_MM),
    ):
        for low_mm, high_mm in pairwise(limits):
            ring = where & (distance >= low_mm) & (distance < high_mm)
            if np.count_nonzero(ring) > 20:
                medians = {m: float(np.median(c[ring])) for m, c in contrast.items()}
                shown = ", ".join(f"{m} {value:+.3f}" for m, value in medians.items())
                print(f"  {low_mm:g} to {high_mm:g} mm {what}: {shown}")


def _quartiles(means: dict[str, FloatArray]) -> str:
    return ", ".join(
        f"{modality} " + " ".join(f"{q:+.2f}" for q in np.percentile(values, (25, 50, 75)))
        for modality, values in means.items()
    )


def main() -> None:
    """All cases of the folder."""
    for usable in examine(Path(sys.argv[1]), task=Task(modalities=("FLAIR", "T1w"))).usable:
        print_contrast(usable.name, read_case(usable))


if __name__ == "__main__":
    main()
