"""Intensities of different scanners made comparable: the whole of it, for one image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from common.arrays import Float32Array
from common.errors import ConfigError
from common.imaging.standardization.brain_voxels import BrainMask, Image, Voxels, brain_voxels
from common.imaging.standardization.kmeans_standardization import CentreMap, map_to_template
from common.imaging.standardization.landmark_map import Landmarks, Mapped
from common.imaging.standardization.nyul import PERCENTILES, map_to_standard
from common.imaging.standardization.zscore import whole_image_z_score, z_score

Method = Literal["two-step", "nyul", "z-score", "none"]

N_LANDMARKS = {"two-step": 3, "nyul": len(PERCENTILES)}
"""Method with a template -> its landmarks in each modality."""


@dataclass(frozen=True, slots=True, eq=False)
class Standardized:
    """One image after standardization.

    image      (i, j, k), float32, 0 outside the brain
    fallback   why step 1 was left out, as the text of a finding; None where nothing was
    """

    image: Float32Array
    fallback: str | None


def standardize(
    image: Image,
    brain: BrainMask,
    *,
    method: Method,
    map: CentreMap = "piecewise",
    template_landmarks: Landmarks | None = None,
) -> Standardized:
    """The image on a scale that scanners share, 0 outside the brain.

    image, brain         (i, j, k), scanner units; errors as in `brain_voxels`
    method               "two-step": k-means to the template, then the z-score;
                         "nyul": percentiles to the template, then the z-score;
                         "z-score": the second step alone;
                         "none": the intensities as they are, and like the others 0 outside
    map                  the curve of the two steps' first. "line" is one line for all three
                         centres, and its z-score takes the moments over the whole image, zeros
                         included: how we read the paper where nothing is added to its words
    template_landmarks   (k,), this modality's entry in the template: 3 for two-step, 13 for nyul

    Source   Galassi 2019, two-step intensity standardization; Fenneteau 2021, Nyul and z-score. The
             departures stand with each step.
    """
    voxels = brain_voxels(image, brain)
    fallback = None
    if method in N_LANDMARKS:
        mapped = _first_step(voxels, template_landmarks, method, map)
        voxels, fallback = mapped.voxels, mapped.left_out
    if method == "two-step" and map == "line":
        voxels = whole_image_z_score(voxels, brain.size - voxels.size)
    elif method != "none":
        voxels = z_score(voxels)
    standardized = np.zeros(image.shape, dtype=np.float32)
    standardized[brain] = voxels
    return Standardized(standardized, fallback)


def _first_step(
    voxels: Voxels, template_landmarks: Landmarks | None, method: Method, map: CentreMap
) -> Mapped:
    n_found = 0 if template_landmarks is None else template_landmarks.size
    if template_landmarks is None or n_found != N_LANDMARKS[method]:
        raise ConfigError(
            f'standardization.method = "{method}" wants a template with {N_LANDMARKS[method]} '
            f"landmarks for each modality, got {n_found or 'none'}. Run the statistics phase, or "
            "fix one in standardization.template."
        )
    if method == "nyul":
        return map_to_standard(voxels, template_landmarks)
    return map_to_template(voxels, template_landmarks, map=map)
