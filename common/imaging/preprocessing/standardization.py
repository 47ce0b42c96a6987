"""Intensities of different scanners made comparable: the whole of it, for one image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from common.errors import ConfigError
from common.imaging.preprocessing.brain_voxels import BrainMask, Image, Voxels, brain_voxels
from common.imaging.preprocessing.class_centres import Centres
from common.imaging.preprocessing.kmeans_standardization import CentreMap, Mapped, map_to_template
from common.imaging.preprocessing.zscore import whole_image_z_score, z_score

Method = Literal["two-step", "z-score", "none"]


@dataclass(frozen=True, slots=True, eq=False)
class Standardized:
    """One image after standardization.

    image      (i, j, k), float32, 0 outside the brain
    fallback   why step 1 was left out, in words fit for a finding; None where nothing was
    """

    image: npt.NDArray[np.float32]
    fallback: str | None


def standardize(
    image: Image,
    brain: BrainMask,
    *,
    method: Method,
    map: CentreMap = "piecewise",
    template_centres: Centres | None = None,
) -> Standardized:
    """The image on a scale that scanners share, 0 outside the brain.

    image, brain       (i, j, k), scanner units; errors as in `brain_voxels`
    method             "two-step": k-means to the template, then the z-score;
                       "z-score": the second step alone;
                       "none": the intensities as they are, and like the others 0 outside
    map                step 1's curve. "line" is the literal reading of the paper: its z-score
                       takes the moments over the whole image, zeros included
    template_centres   (3,), this modality's entry in the template; two-step needs it

    Source   Galassi 2019, two-step intensity standardization; the departures stand with each step.
    """
    voxels = brain_voxels(image, brain)
    fallback = None
    if method == "two-step":
        mapped = _first_step(voxels, template_centres, map)
        voxels, fallback = mapped.voxels, mapped.left_out
    if method == "two-step" and map == "line":
        voxels = whole_image_z_score(voxels, brain.size - voxels.size)
    elif method != "none":
        voxels = z_score(voxels)
    standardized = np.zeros(image.shape, dtype=np.float32)
    standardized[brain] = voxels
    return Standardized(standardized, fallback)


def _first_step(voxels: Voxels, template_centres: Centres | None, map: CentreMap) -> Mapped:
    if template_centres is None:
        raise ConfigError(
            'standardization.method = "two-step" wants a template with three centres for each '
            "modality, got none. Run the statistics phase, or fix one in standardization.template."
        )
    return map_to_template(voxels, template_centres, map=map)
