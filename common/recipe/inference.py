"""How a whole image is segmented, and how a segmentation is scored."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from common.settings import Settings

Flips = Literal["none", "left-right", "all"]
Positive = Annotated[int, Field(ge=1)]


class Inference(Settings):
    """How a whole image is segmented."""

    overlap: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of a patch that its neighbour covers as well."""
    blend: Literal["gaussian", "mean"] = "gaussian"
    """How overlapping patches are averaged. gaussian: a voxel counts more the nearer it is to the
    middle of its patch; mean: all voxels count alike."""
    flips: Flips = "none"
    """Over which mirrored images the probabilities are averaged. left-right: the image and its
    mirror image, in twice the time; all: mirrored along each axis and all of them together, in
    eight times the time."""
    min_lesion_voxels: Annotated[int, Field(ge=1)] = 1
    """Lesions of fewer voxels (26-connected) are dropped; with `smallest_from` = "sites", until a
    volume is chosen."""
    smallest_from: Literal["fixed", "sites"] = "fixed"
    """sites: the sites' sums are over each threshold with each of 0, 3, 6, 10, 15 and 20 mm3; the
    volume below which lesions are dropped goes into the model file with the threshold."""
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """A voxel is lesion where its probability is above this; with `sites`, until one is chosen."""
    threshold_from: Literal["fixed", "sites"] = "fixed"
    """sites: after training each site sends, for 0.05 to 0.95, sums over cases that it does
    not train on, and the threshold with the best mean goes into the model file."""
    threshold_by: Literal["dice", "lesion_f1"] = "dice"
    """Which mean over cases is the best one. lesion_f1: of the thresholds that reach half of the
    best mean Dice, for where any overlap finds a lesion, one blob over everything finds all."""


class Evaluation(Settings):
    """How a segmentation is scored."""

    preset: Literal["msseg2016", "msseg2", "isbi2015", "kamraoui", "hussein"] = "msseg2016"
    """What a lesion is and when it counts as found: common/metrics/presets.py."""


class Compute(Settings):
    """What a result depends on besides the seed."""

    threads: Positive = 2
    """CPU threads, the same everywhere: another number changes the last digits of results."""
    device: Literal["cpu", "cuda"] = "cpu"
