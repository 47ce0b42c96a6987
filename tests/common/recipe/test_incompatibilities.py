"""Each rule by what it refuses, with its reason, and by what lies just beside it and is fine."""

from __future__ import annotations

import pytest

from common.errors import ConfigError
from common.recipe.recipe import incompatibilities, load_recipe

TWO_DATES = ("task.target=new-lesions", "preprocessing.space=halfway")
LESION_WISE = "loss.lesion_wise={n_pairs = 9, steps = 2, batch_size = 3, learning_rate = 0.01"
NO_STEPS = "preprocessing.steps=[]"


@pytest.mark.parametrize(
    ("source", "overrides", "words"),
    [
        pytest.param(
            "galassi2019",
            ["sampling.patch_shape=[11, 11, 13]"],
            r"patch_shape must be \(11, 11, 11\) with network 'cascade', .* got \(11, 11, 13\)",
            id="a cascade has one size",
        ),
        pytest.param(
            "default",
            ["sampling.patch_shape=[64, 64, 40]"],
            r"multiples of 16 \(each halving .* with network 'unet', got \(64, 64, 40\)",
            id="three halvings after a stride of 2",
        ),
        pytest.param(
            "default",
            ["network.widths=[16, 32, 48, 64, 64]", "sampling.patch_shape=[64, 64, 48]"],
            r"multiples of 32 \(each halving .* with network 'unet', got \(64, 64, 48\)",
            id="four halvings after a stride of 2",
        ),
        pytest.param(
            "fenneteau2021",
            ["sampling.patch_shape=[56, 56, 60]"],
            r"multiples of 8 .* with network 'siamese-mpu-net', got \(56, 56, 60\)",
            id="three halvings",
        ),
        pytest.param(
            "default",
            ["sampling.patch_shape=[16, 16, 16]"],
            r"leaves the instance norm at width 4 of 4 of network 'unet' 1 value \(1 x 1 x 1 "
            r"voxels\), and it needs at least 16: .*\. Enlarge it, or set network.norm to group",
            id="instance norm of one voxel",
        ),
        pytest.param(
            "default",
            ["network.widths=[16, 32, 48, 64, 64]"],
            r"\(32, 64, 64\) leaves the instance norm at width 5 of 5 .* 4 values \(1 x 2 x 2 "
            r"voxels\).* Enlarge it, or take four network.widths, or set network.norm to group",
            id="the former default: instance norm of 1 x 2 x 2",
        ),
        pytest.param(
            "hussein2023",
            ["sampling.patch_shape=[32, 48, 32]"],
            r"12 values \(2 x 3 x 2 voxels\)",
            id="instance norm of 12",
        ),
        pytest.param(
            "default",
            ["network.norm=batch", "sampling.patch_shape=[16, 32, 48]"],
            r"the batch norm at width 4 of 4 .* 12 values \(1 x 2 x 3 voxels x 2 samples\), .*"
            r"Enlarge it, or raise sampling.batch_size",
            id="batch norm of 6 voxels of two patches",
        ),
        pytest.param(
            "default",
            [
                "network.norm=group",
                "network.widths=[16, 32, 64, 60]",
                "sampling.patch_shape=[16,16,16]",
            ],
            r"the group norm at width 4 of 4 .* 15 values \(1 x 1 x 1 voxels x 15 features\), .*"
            r"Enlarge it, or widen network.widths",
            id="group norm of 15 features of one voxel",
        ),
        pytest.param(
            "fenneteau2021",
            ["sampling.patch_shape=[8, 8, 24]", "sampling.batch_size=2"],
            r"the batch norm at the coarsest of four resolutions of network 'siamese-mpu-net' 12 "
            r"values \(1 x 1 x 3 voxels x 4 samples\), .* Enlarge it, or raise sampling.batch_size",
            id="batch norm of both dates of two patches",
        ),
        pytest.param(
            "fenneteau2021",
            ["network.norm=group", "sampling.patch_shape=[8, 8, 16]"],
            r"the group norm .* 14 values \(1 x 1 x 2 voxels x 7 features\), .*network.features",
            id="group norm of 7 features of two voxels",
        ),
        pytest.param(
            "kamraoui2021",
            ["loss.lesion_wise.widths=[8, 8, 8, 8, 8]", "loss.lesion_wise.batch_size=1"],
            r"the batch norm at width 5 of 5 of loss.lesion_wise 8 values \(2 x 2 x 2 voxels x 1 "
            r"samples\), .* Enlarge it, or raise loss.lesion_wise.batch_size, or take fewer",
            id="batch norm of the metric network's 8 voxels of one pair",
        ),
        *[
            pytest.param(
                "galassi2019",
                [f"loss.segmentation={{name = '{name}', over = 'patch', epsilon = 0.1}}"],
                f"'{name}' with over = 'patch' compares the voxels of a patch, .* set over to",
                id=f"{name} of one voxel",
            )
            for name in ("dice", "dice-and-bce", "tversky", "focal-tversky")
        ],
        *[
            pytest.param(
                "galassi2019",
                [f"loss.segmentation={{name = '{name}', epsilon = 1.5}}"],
                r"epsilon is in voxels a patch, .* answers for one voxel of it; .* 1, got 1\.5",
                id=f"an epsilon of more than the patch for {name}",
            )
            for name in ("dice", "dice-and-bce", "tversky", "focal-tversky", "batch-dice")
        ],
        pytest.param(
            "galassi2019",
            [LESION_WISE + "}"],
            r"loss.lesion_wise looks at whole lesions, and network 'cascade' .*; leave it out",
            id="whole lesions in one voxel",
        ),
        pytest.param(
            "fenneteau2021",
            [LESION_WISE + ", widths = [2, 2, 2, 2]}"],
            r"multiples of 16 with the 4 widths of loss.lesion_wise, .* got \(56, 56, 56\)",
            id="56 halves three times, the metric network four",
        ),
        pytest.param(
            "aslani2020",
            ["sampling.lesion_share=0.5"],
            r"'grid' draws patches with a lesion voxel alone, and lesion_share is 0.5; set it to 1",
            id="lesion-free patches of a grid",
        ),
        pytest.param(
            "fenneteau2021",
            ["federation.steps_are=whole-epoch"],
            r"counts each site's own subjects, and .* 'whole-epoch' divides a number over",
            id="an epoch's steps that are counted at the sites",
        ),
        pytest.param(
            "fenneteau2021",
            ["federation.step_budget=0.5"],
            r"with patches_per_subject the coordinator does not know how many these are",
            id="a share of steps that the coordinator does not know",
        ),
        pytest.param(
            "default",
            ["optimizer.state=averaged", "federation.aggregation=median"],
            r"optimizer.state = 'averaged' needs the mean: .* Set federation.aggregation to",
            id="a median of optimizer states",
        ),
        pytest.param(
            "kamraoui2021",
            ["federation.rounds=20"],
            r"from_round 21 is never reached: federation.rounds is 20\. Lower it, or raise feder",
            id="a lesion metric after the last round",
        ),
        pytest.param(
            "galassi2019",
            ["task.modalities=['T1w', 'FLAIR']"],
            r"the first modality, which must be FLAIR; .* \('T1w', 'FLAIR'\)\. Put FLAIR first",
            id="bright voxels of a T1w",
        ),
        pytest.param(
            "galassi2019",
            [*TWO_DATES],
            "network 'cascade' looks at one date, and task.target 'new-lesions' has two; set",
            id="two dates for a cascade",
        ),
        pytest.param(
            "galassi2019",
            ["standardization={method = 'none'}"],
            "are z-scores, and standardization.method 'none' leaves .*; choose two-step or z-score",
            id="z-scores of scanner units",
        ),
        pytest.param(
            "galassi2019",
            ["sampling.name=patches", "sampling.augment=[]"],
            "sampling.name 'patches' does not go with network 'cascade': 'voxels' and 'cascade'",
            id="patches for a cascade",
        ),
        pytest.param(
            "default",
            ["sampling.name=voxels", "sampling.augment=[]"],
            "sampling.name 'voxels' does not go with network 'unet'",
            id="voxels for a map",
        ),
        pytest.param(
            "galassi2019",
            ["sampling.lesion_share=1"],
            "lesion_share must be below 1 with sampling.name 'voxels': .* 0.5 for as many of both",
            id="lesion voxels without others",
        ),
        pytest.param(
            "galassi2019",
            ["sampling.augment=['half-turn', 'mirror']"],
            r"sampling.augment \['mirror'\] do not go with .* 'voxels'; it has \['half-turn'\]",
            id="mirrored voxels",
        ),
        pytest.param(
            "default",
            ["sampling.augment=['half-turn']"],
            r"sampling.augment \['half-turn'\] do not go with sampling.name 'patches'",
            id="half turns of patches",
        ),
        pytest.param(
            "default",
            ["sampling.augment=['quarter-turns']", "sampling.patch_shape=[32, 64, 96]"],
            r"'quarter-turns' turns a plane with two equal sides, and .*\(32, 64, 96\) has none",
            id="no square to turn",
        ),
        pytest.param(
            "default",
            ["sampling.augment=['modality-dropout']", "task.modalities=['FLAIR']"],
            r"leaves out modalities after the first, .* got task.modalities \('FLAIR',\)",
            id="no modality but the first",
        ),
        pytest.param(
            "default",
            ["sampling.augment=['modality-dropout']", *TWO_DATES],
            "leaves out modalities after the first, of one date; .* task.target 'new-lesions'",
            id="a modality of one of two dates",
        ),
        *[
            pytest.param(
                "galassi2019",
                [f"inference.flips={flips}"],
                f"inference.flips '{flips}' does not go with network 'cascade', .*'none'",
                id=f"a cascade of mirror images, {flips}",
            )
            for flips in ("left-right", "all")
        ],
        pytest.param(
            "galassi2019",
            ["federation.moving_average=0.5"],
            "moving_average does not go with network 'cascade': .*; set it to 0",
            id="an average of a cascade",
        ),
        pytest.param(
            "default",
            ["sampling.hard_negative_share=0.5", "sampling.lesion_share=1"],
            "hard_negative_share = 0.5 is a share of the patches .* lesion_share = 1 leaves none",
            id="hard negatives where every patch holds a lesion",
        ),
        pytest.param(
            "hussein2023",
            ["sampling.hard_negative_share=0.25"],
            "hard_negative_share = 0.25 goes with name = 'patches', got 'centreline'",
            id="hard negatives along a centreline",
        ),
        pytest.param(
            "default",
            ["network.full_resolution=true", "network.first_stride=1"],
            "full_resolution = true adds the resolution that a first_stride of 2 leaves out",
            id="a resolution that is there",
        ),
        pytest.param(
            "fenneteau2021",
            ["task.target=lesions", "preprocessing.space=own"],
            "network 'siamese-mpu-net' compares two dates, and task.target 'lesions' has one; set",
            id="two dates out of one",
        ),
        pytest.param(
            "galassi2019",
            ["task.raters=2"],
            "task.raters 2: network 'cascade' has one output, the consensus; set task.raters to 0",
            id="raters for a cascade",
        ),
        pytest.param(
            "default",
            ["preprocessing.reference=T2w"],
            r"preprocessing.reference must be one of task.modalities .*, got 'T2w'",
            id="a reference the task lacks",
        ),
        pytest.param(
            "default",
            ["task.target=new-lesions"],
            r"two sessions on one grid, which preprocessing.space 'own' does not give; choose 'ha",
            id="two dates on two grids",
        ),
        pytest.param(
            "default",
            ["federation.site_validation_share=0"],
            r"inference.threshold_from = 'sites' chooses .* keeps none. Raise the share",
            id="a threshold from cases that no site keeps",
        ),
        pytest.param(
            "default",
            ["inference.threshold_from=fixed", "inference.smallest_from=sites"],
            r"smallest_from = 'sites' is chosen together with the threshold.* Set both to 'sites'",
            id="a smallest lesion without a threshold",
        ),
        pytest.param(
            "hussein2023",
            ["preprocessing.steps=['brain', 'resample']"],
            r"'centreline' follows the spinal cord, .* put 'cord' in place of 'brain', or choose",
            id="a centreline in the brain",
        ),
    ],
)
def test_what_cannot_work_is_refused_with_the_reason(
    source: str, overrides: list[str], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        load_recipe(source, overrides=overrides)


@pytest.mark.parametrize(
    ("source", "overrides"),
    [
        pytest.param(
            "default",
            ["sampling.patch_shape=[32, 64, 48]"],
            id="a stride of 2 and three halvings of 48",
        ),
        pytest.param(
            "fenneteau2021", ["sampling.patch_shape=[8, 24, 16]"], id="three halvings of 24"
        ),
        pytest.param(
            "default",
            ["sampling.patch_shape=[16, 16, 16]", "network.norm=group"],
            id="group norm of 16 features of one voxel",
        ),
        pytest.param(
            "default", ["sampling.patch_shape=[32, 32, 64]"], id="instance norm of 2 x 2 x 4"
        ),
        pytest.param(
            "default",
            ["sampling.patch_shape=[16, 32, 32]", "network.norm=batch", "sampling.batch_size=4"],
            id="batch norm of 4 voxels of four patches",
        ),
        pytest.param(
            "fenneteau2021",
            ["sampling.patch_shape=[8, 16, 16]", "sampling.batch_size=2"],
            id="batch norm of 4 voxels of both dates of two patches",
        ),
        pytest.param("galassi2019", ["sampling.batch_size=1"], id="125 voxels of one sample"),
        *[
            pytest.param("galassi2019", [f"loss.segmentation={{name = '{name}'}}"], id=name)
            for name in ("generalized-dice", "bce")
        ],
        *[
            pytest.param(
                "galassi2019",
                [f"loss.segmentation={{name = '{name}', epsilon = 1}}"],
                id=f"{name} over the batch, at most a voxel a patch",
            )
            for name in ("dice", "dice-and-bce", "tversky", "focal-tversky", "batch-dice")
        ],
        *[
            pytest.param("galassi2019", [f"sampling.lesion_share={share}"], id=f"{share} lesions")
            for share in (0.01, 0.5, 0.99)
        ],
        pytest.param(
            "fenneteau2021",
            [LESION_WISE + ", widths = [2, 2, 2]}"],
            id="56 halves as often as the metric network",
        ),
        pytest.param(
            "kamraoui2021", ["federation.rounds=21"], id="a lesion metric in the last round"
        ),
        pytest.param("galassi2019", ["task.modalities=['FLAIR']"], id="a cascade of FLAIR alone"),
        pytest.param(
            "galassi2019", ["standardization.method=z-score"], id="z-scores without classes"
        ),
        pytest.param("galassi2019", ["sampling.augment=[]"], id="voxels as they are"),
        pytest.param("default", ["sampling.lesion_share=0.5"], id="half of the patches"),
        pytest.param(
            "default",
            ["sampling.augment=['mirror', 'quarter-turns', 'image-quality']"],
            id="each augmentation of patches; two sides of 32, 64, 64 are equal",
        ),
        pytest.param(
            "default",
            ["sampling.augment=['scanner', 'modality-dropout', 'rotation-scaling']"],
            id="scanner augmentations of FLAIR and T1w",
        ),
        pytest.param(
            "default",
            [
                "federation.moving_average=0.9",
                "sampling.hard_negative_share=0.5",
                "network.full_resolution=true",
                "inference.flips=all",
            ],
            id="everything for unseen scanners",
        ),
        pytest.param("default", [*TWO_DATES], id="a U-Net reads two dates as channels"),
        pytest.param(
            "default", ["task.target=new-lesions", NO_STEPS], id="a folder that was prepared before"
        ),
        pytest.param("default", ["task.raters=3"], id="raters for a map"),
        pytest.param("default", ["preprocessing.reference=FLAIR"], id="a reference of the task"),
        pytest.param(
            "default",
            ["federation.site_validation_share=0", "inference.threshold_from=fixed"],
            id="a fixed threshold needs no case",
        ),
        pytest.param(
            "default",
            ["federation.site_validation_share=0", "federation.site_threshold_share=0.2"],
            id="cases kept for the threshold alone",
        ),
        pytest.param("hussein2023", [NO_STEPS], id="a cord that was prepared before"),
        pytest.param(
            "hussein2023", ["sampling.name=patches"], id="patches near the cord without its line"
        ),
    ],
)
def test_what_lies_beside_it_is_fine(source: str, overrides: list[str]) -> None:
    assert list(incompatibilities(load_recipe(source, overrides=overrides))) == []


def test_every_misfit_is_reported_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        load_recipe("galassi2019", overrides=["sampling.patch_shape=[9, 9, 9]", "task.raters=1"])
    text = str(caught.value)
    assert "must be (11, 11, 11)" in text
    assert "task.raters 1" in text
