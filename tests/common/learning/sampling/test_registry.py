from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from common.errors import SiteDataError
from common.learning.sampling.centreline_patches import CentrelinePatches
from common.learning.sampling.grid_patches import GridPatches
from common.learning.sampling.lesion_voxels import LesionVoxels
from common.learning.sampling.patches import Patches
from common.learning.sampling.registry import build_sampler
from common.recipe.recipe import Recipe, load_recipe
from tests.patch_networks import BrainCase


def case(*lesions: tuple[int, int, int], shape: tuple[int, int, int] = (20, 12, 18)) -> BrainCase:
    """Two channels: each voxel's own number, and its negative; all of it is brain."""
    numbers = np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(shape)
    mask = np.zeros(shape, bool)
    for voxel in lesions:
        mask[voxel] = True
    return BrainCase(np.stack([numbers, -numbers]), np.ones(shape, bool), mask)


def recipe(source: str = "default", *overrides: str) -> Recipe:
    return load_recipe(source, overrides=overrides)


SIAMESE = ("sampling.patch_shape=[8, 16, 8]", "sampling.lesion_share=1.0", "task.raters=2")


@pytest.mark.parametrize(
    ("settings", "kind", "image_shape", "truth_shape"),
    [
        pytest.param(
            recipe("fenneteau2021", *SIAMESE, "sampling.name=grid"),
            GridPatches,
            (8, 16, 8),
            (3, 8, 16, 8),
            id="grid",
        ),
        pytest.param(
            recipe("fenneteau2021", *SIAMESE), Patches, (8, 16, 8), (3, 8, 16, 8), id="patches"
        ),
        pytest.param(
            recipe("fenneteau2021", *SIAMESE, "sampling.name=centreline", "preprocessing.steps=[]"),
            CentrelinePatches,
            (8, 16, 8),
            (3, 8, 16, 8),
            id="centreline",
        ),
        pytest.param(recipe("galassi2019"), LesionVoxels, (11, 11, 11), (1,), id="voxels"),
    ],
)
def test_the_recipe_s_sampler_draws_patches_of_its_shape_and_one_reference_an_output(
    settings: Recipe, kind: type, image_shape: tuple[int, ...], truth_shape: tuple[int, ...]
) -> None:
    negatives = [np.array([5, 6], np.intp)]
    sampler = build_sampler([case((9, 5, 8))], settings, negatives=negatives)
    assert isinstance(sampler, kind)
    images, truth, _ = sampler.draw_batch(4, np.random.default_rng(0))
    assert images.shape == (4, 2, *image_shape)
    assert images.dtype == np.float32
    assert truth.shape == (4, *truth_shape)
    assert truth.dtype == np.bool_


def without_lesion(settings: Recipe) -> float:
    """Share of drawn patches without a lesion, of one case with a lesion and one without."""
    sampler = build_sampler([case((9, 5, 8)), case()], settings)
    _, truth, _ = sampler.draw_batch(60, np.random.default_rng(1))
    return float(np.mean(~truth.any(axis=(1, 2, 3, 4))))


@pytest.mark.parametrize("name", ["patches", "centreline"])
def test_the_share_with_a_lesion_is_the_recipe_s(name: str) -> None:
    overrides = (*SIAMESE, f"sampling.name={name}", "preprocessing.steps=[]")
    assert without_lesion(recipe("fenneteau2021", *overrides)) == 0
    # half of the patches come from the case without a lesion
    assert without_lesion(recipe("fenneteau2021", *overrides, "sampling.lesion_share=0.5")) > 0.25


def test_the_share_of_lesion_voxels_is_the_recipe_s() -> None:
    negatives = [np.array([5, 6], np.intp)]
    for share, n_lesion in ((0.25, 2), (0.5, 4)):
        settings = recipe("galassi2019", f"sampling.lesion_share={share}")
        sampler = build_sampler([case((9, 5, 8))], settings, negatives=negatives)
        _, truth, _ = sampler.draw_batch(8, np.random.default_rng(0))
        assert truth.sum() == n_lesion


@pytest.mark.parametrize("name", ["patches", "centreline"])
def test_the_augmentation_is_the_recipe_s(name: str) -> None:
    overrides = (*SIAMESE, f"sampling.name={name}", "preprocessing.steps=[]")
    firsts: dict[str, set[bool]] = {}
    for augment in ("[]", '["mirror-left-right"]'):
        sampler = build_sampler(
            [case((9, 5, 8))], recipe("fenneteau2021", *overrides, f"sampling.augment={augment}")
        )
        images, _, _ = sampler.draw_batch(20, np.random.default_rng(2))
        # numbers rise along i, unless the patch is mirrored; 0 lies beyond the volume
        firsts[augment] = {bool(image[0, 3, 5, 4] < image[0, 4, 5, 4]) for image in images}
    assert list(firsts.values()) == [{True}, {True, False}]


@pytest.mark.parametrize("augment", [["half-turn"], []])
def test_the_half_turn_of_voxels_is_the_recipe_s(augment: list[str]) -> None:
    settings = recipe("galassi2019", f"sampling.augment={augment}")
    sampler = build_sampler([case((9, 5, 8))], settings, negatives=[np.array([1234], np.intp)])
    images, _, _ = sampler.draw_batch(8, np.random.default_rng(3))
    # upright, the number before the centre along k is one less: a turn in (i, j) leaves that, and
    # changes the order along i or j
    rises = [image[0, 4, 4, 5] < image[0, 4, 6, 5] < image[0, 6, 6, 5] for image in images]
    assert sum(not upright for upright in rises) == (4 if augment else 0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        pytest.param(recipe(), "no lesion voxel in the reference of 1 cases", id="patches"),
        pytest.param(recipe("galassi2019"), "no lesion voxel in the reference", id="voxels"),
        pytest.param(recipe("hussein2023"), "of the centreline in the", id="centreline"),
    ],
)
def test_a_site_without_a_lesion_cannot_train_with_any_sampler(
    settings: Recipe, words: str
) -> None:
    negatives: Any = [np.array([5], np.intp)]
    with pytest.raises(SiteDataError, match=words):
        build_sampler([case()], settings, negatives=negatives)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(
            recipe("fenneteau2021", *SIAMESE, f"sampling.name={name}", "preprocessing.steps=[]"),
            id=name,
        )
        for name in ("patches", "grid", "centreline")
    ]
    + [pytest.param(recipe("galassi2019"), id="voxels")],
)
def test_a_batch_says_which_case_each_patch_is_from(settings: Recipe) -> None:
    """Case 0 has no reference and is never drawn; cases 1 and 2 have values of -1 and -2."""
    shape = (20, 12, 18)
    lesions = np.ones(shape, bool)
    cases = [
        BrainCase(np.full((2, *shape), -number, np.float32), np.ones(shape, bool), reference)
        for number, reference in enumerate((None, lesions, lesions))
    ]
    negatives: Any = [np.array([2000], np.intp)] * 3
    sampler = build_sampler(cases, settings, negatives=negatives)
    images, _, drawn = sampler.draw_batch(30, np.random.default_rng(5))
    assert set(drawn.tolist()) == {1, 2}
    assert drawn.tolist() == [-int(image.min()) for image in images]
