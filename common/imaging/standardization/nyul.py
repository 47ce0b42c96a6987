"""Step 1 after Nyul: thirteen percentiles of the image are mapped to the consortium's standard."""

from __future__ import annotations

import numpy as np

from common.errors import SiteDataError
from common.imaging.standardization.brain_voxels import BrainMask, Image, Voxels, brain_voxels
from common.imaging.standardization.landmark_map import Landmarks, Mapped, piecewise

PERCENTILES = (1, 10, 20, 25, 30, 40, 50, 60, 70, 75, 80, 90, 99)
"""Where the landmarks lie among the voxels inside the mask."""

SCALE = (0.0, 100.0)
"""The standard scale: where the first and the last landmark lie."""

SMALLEST_GAP = 0.001
"""Landmarks nearer to each other than this part of first to last count as equal."""


def nyul_landmarks(voxels: Voxels) -> Landmarks:
    """The thirteen percentiles of the voxels, in the image's units; equal ones are possible.

    voxels   (n,), inside the brain

    Source   Nyul 2000; the percentiles of Fenneteau 2021. Chosen: between two voxels, a percentile
             lies on the straight line from one to the other.
    """
    landmarks: Landmarks = np.percentile(voxels, PERCENTILES)
    return landmarks


def landmarks_on_scale(image: Image, brain: BrainMask) -> Landmarks:
    """What one image adds to the standard: its landmarks, the ends mapped to those of `SCALE`.

    image, brain   (i, j, k); errors as in `brain_voxels`
    returns        (13,), rising from 0 to 100: gain and offset of a scanner cancel

    SiteDataError where two landmarks are nearly equal: such an image has no place on the scale.
    """
    landmarks = nyul_landmarks(brain_voxels(image, brain))
    reason = why_no_landmarks(landmarks)
    if reason is not None:
        raise SiteDataError(
            f"{reason}, so the image adds nothing to the standard scale. Look at it: has it been "
            "stored with few grey levels, or is it clipped?"
        )
    low, high = SCALE
    share = (landmarks - landmarks[0]) / (landmarks[-1] - landmarks[0])
    on_scale: Landmarks = low + (high - low) * share
    return on_scale


def map_to_standard(voxels: Voxels, standard: Landmarks) -> Mapped:
    """The intensities with their thirteen landmarks mapped to the standard's.

    voxels     (n,), inside the brain, scanner units
    standard   (13,), the mean of `landmarks_on_scale` over images, rising

    Step 1 is left out, with the reason, where two landmarks are nearly equal or the standard does
    not rise.

    Source   Nyul 2000: linear from landmark to landmark, the first and last piece drawn on.
             Chosen: `SMALLEST_GAP`, and to leave the step out where the map would be a jump.
    """
    landmarks = nyul_landmarks(voxels)
    reason = why_no_landmarks(landmarks)
    if reason is None and not np.all(np.diff(standard) > 0):
        reason = f"the standard's landmarks {standard.tolist()} do not rise"
    if reason is not None:
        return Mapped(voxels, reason)
    return Mapped(piecewise(voxels, landmarks, standard), None)


def why_no_landmarks(landmarks: Landmarks) -> str | None:
    """What keeps the landmarks from being used, or None."""
    gaps = np.diff(landmarks)
    closest = int(np.argmin(gaps))
    span = landmarks[-1] - landmarks[0]
    if gaps[closest] > SMALLEST_GAP * span:
        return None
    return (
        f"percentiles {PERCENTILES[closest]} and {PERCENTILES[closest + 1]} of the voxels in the "
        f"brain mask are {landmarks[closest]:g} and {landmarks[closest + 1]:g}, nearer than "
        f"{SMALLEST_GAP:.1%} of the range from percentile 1 to 99"
    )
