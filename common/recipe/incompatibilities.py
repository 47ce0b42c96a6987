"""Which parts of a recipe go together. Each rule says what cannot work, and what to change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from common.recipe.network import CascadeSettings, SiameseMPUNetSettings, UNetSettings

if TYPE_CHECKING:
    from common.recipe.recipe import Recipe

CASCADE_PATCH = (11, 11, 11)


def incompatibilities(recipe: Recipe) -> Iterator[str]:
    """Every combination in the recipe that cannot work, in words."""
    for rule in (_network, _cascade, _loss, _rounds, _sampling, _dates, _sharing, _region):
        yield from rule(recipe)


def _network(recipe: Recipe) -> Iterator[str]:
    network, shape = recipe.network, recipe.sampling.patch_shape
    if isinstance(network, CascadeSettings):
        if shape != CASCADE_PATCH:
            yield (
                f"sampling.patch_shape must be {CASCADE_PATCH} with network 'cascade', whose dense "
                f"layer has so many inputs; got {shape}"
            )
        return
    multiple = network.patch_multiple
    if any(n % multiple for n in shape):
        yield (
            f"sampling.patch_shape must be multiples of {multiple} (each halving needs an even "
            f"number) with network {network.name!r}, got {shape}"
        )
    one_voxel = isinstance(network, UNetSettings) and all(n == multiple for n in shape)
    if one_voxel and isinstance(network, UNetSettings) and network.norm == "instance":
        yield (
            f"sampling.patch_shape {shape} leaves one voxel at the bottleneck, and instance norm "
            "over one voxel is constant; enlarge it, or set network.norm to group"
        )


def _cascade(recipe: Recipe) -> Iterator[str]:
    """Its bounds on the first modality are in z, and lesions are bright there."""
    if not isinstance(recipe.network, CascadeSettings):
        return
    if recipe.task.modalities[0] != "FLAIR":
        yield (
            "network 'cascade' looks for bright voxels of the first modality, which must be FLAIR; "
            f"task.modalities are {recipe.task.modalities}. Put FLAIR first, or choose another "
            "network"
        )
    if recipe.task.dates != 1:
        yield (
            "network 'cascade' looks at one date, and task.target 'new-lesions' has two; set "
            "task.target to 'lesions', or choose another network"
        )
    if recipe.standardization.method == "none":
        yield (
            "network.candidates_above and network.fallback_above of 'cascade' are z-scores, and "
            "standardization.method 'none' leaves the scanner's units; choose two-step or z-score"
        )


def _loss(recipe: Recipe) -> Iterator[str]:
    loss = recipe.loss
    if recipe.network.answers == "centre":
        if loss.segmentation.name in ("dice", "tversky", "focal-tversky"):
            yield (
                f"loss.segmentation {loss.segmentation.name!r} compares the voxels of a patch, and "
                f"network {recipe.network.name!r} answers for one voxel of it; choose "
                "generalized-dice, batch-dice or bce, which take the batch together"
            )
        if loss.lesion_wise is not None:
            yield (
                f"loss.lesion_wise looks at whole lesions, and network {recipe.network.name!r} "
                "answers for one voxel of a patch; leave it out"
            )
        return
    if loss.lesion_wise is not None:
        multiple, shape = 2 ** len(loss.lesion_wise.widths), recipe.sampling.patch_shape
        if any(n % multiple for n in shape):
            yield (
                f"sampling.patch_shape must be multiples of {multiple} with the "
                f"{len(loss.lesion_wise.widths)} widths of loss.lesion_wise, each of which halves "
                f"it; got {shape}. Change it, or take fewer widths"
            )


def _rounds(recipe: Recipe) -> Iterator[str]:
    lesion_wise = recipe.loss.lesion_wise
    if lesion_wise is not None and lesion_wise.from_round > recipe.federation.rounds:
        yield (
            f"loss.lesion_wise.from_round {lesion_wise.from_round} is never reached: "
            f"federation.rounds is {recipe.federation.rounds}. Lower it, or raise federation.rounds"
        )


def _sampling(recipe: Recipe) -> Iterator[str]:
    sampling = recipe.sampling
    if (recipe.network.answers == "centre") != (sampling.name == "voxels"):
        yield (
            f"sampling.name {sampling.name!r} does not go with network {recipe.network.name!r}: "
            "'voxels' and 'cascade' belong together"
        )
    if sampling.name == "voxels" and sampling.lesion_share != 1:
        yield (
            f"sampling.lesion_share is for patches; 'voxels' takes one half, got "
            f"{sampling.lesion_share:g}. Leave it out"
        )
    allowed = (
        {"half-turn"}
        if sampling.name == "voxels"
        else {"mirror-left-right", "mirror", "quarter-turns", "image-quality"}
    )
    if odd := [name for name in sampling.augment if name not in allowed]:
        yield (
            f"sampling.augment {odd} do not go with sampling.name {sampling.name!r}; it has "
            f"{sorted(allowed)}"
        )
    if "quarter-turns" in sampling.augment and len(set(sampling.patch_shape)) == 3:
        yield (
            f"sampling.augment 'quarter-turns' turns a plane with two equal sides, and "
            f"sampling.patch_shape {sampling.patch_shape} has none"
        )


def _dates(recipe: Recipe) -> Iterator[str]:
    if isinstance(recipe.network, SiameseMPUNetSettings) and recipe.task.dates == 1:
        yield (
            "network 'siamese-mpu-net' compares two dates, and task.target 'lesions' has one; set "
            "task.target to 'new-lesions'"
        )
    if recipe.task.raters and isinstance(recipe.network, CascadeSettings):
        yield (
            f"task.raters {recipe.task.raters}: network 'cascade' has one output, the consensus; "
            "set task.raters to 0"
        )
    preprocessing = recipe.preprocessing
    reference = preprocessing.reference
    if reference is not None and reference not in recipe.task.modalities:
        yield (
            f"preprocessing.reference must be one of task.modalities {recipe.task.modalities}, "
            f"got {reference!r}"
        )
    if recipe.task.dates == 2 and preprocessing.steps and preprocessing.space != "halfway":
        yield (
            f"task.target 'new-lesions' compares two sessions on one grid, which "
            f"preprocessing.space {preprocessing.space!r} does not give; choose 'halfway'"
        )


def _sharing(recipe: Recipe) -> Iterator[str]:
    federation = recipe.federation
    kept = federation.site_validation_share + federation.site_threshold_share
    if recipe.inference.threshold_from == "sites" and kept == 0:
        yield (
            "inference.threshold_from = 'sites' chooses the threshold on cases that sites keep "
            "from training, and federation.site_validation_share = 0 keeps none. Raise the "
            "share, or set inference.threshold_from to 'fixed'"
        )


def _region(recipe: Recipe) -> Iterator[str]:
    steps = recipe.preprocessing.steps
    if recipe.sampling.name == "centreline" and steps and "cord" not in steps:
        yield (
            f"sampling.name 'centreline' follows the spinal cord, and preprocessing.steps {steps} "
            "look at the brain; put 'cord' in place of 'brain', or choose 'patches'"
        )
