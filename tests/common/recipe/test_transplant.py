from __future__ import annotations

import pytest

from common.errors import ConfigError
from common.recipe.recipe import load_recipe

TRANSPLANT = "sampling.augment=['lesion-transplant']"


@pytest.mark.parametrize("modalities", ["['FLAIR']", "['FLAIR', 'T1w']"])
def test_the_default_recipe_can_have_transplants(modalities: str) -> None:
    recipe = load_recipe("default", overrides=[TRANSPLANT, f"task.modalities={modalities}"])
    assert recipe.sampling.augment == ("lesion-transplant",)


@pytest.mark.parametrize(
    ("recipe", "overrides", "words"),
    [
        pytest.param(
            "default",
            ["task.modalities=['T1w', 'FLAIR']"],
            "bright in the FLAIR and dark in the T1w of one date",
            id="the channels in another order",
        ),
        pytest.param(
            "default",
            ["task.modalities=['FLAIR', 'T2w']"],
            r"modalities \('FLAIR', 'T2w'\); take it out",
            id="a modality without a contrast",
        ),
        pytest.param("kamraoui2021", [], "task.target is 'new-lesions'", id="two dates"),
        pytest.param("hussein2023", [], "looks at the spinal cord; take it out", id="a cord"),
        pytest.param(
            "default",
            ["sampling.lesion_share=1"],
            "with sampling.lesion_share 1 there are none; lower it",
            id="no patch without a lesion",
        ),
        pytest.param(
            "default",
            ["standardization.method=none"],
            "'none' leaves the scanner's units; choose two-step",
            id="scanner units",
        ),
        pytest.param(
            "galassi2019", [], "do not go with sampling.name 'voxels'", id="one voxel of a patch"
        ),
    ],
)
def test_transplants_are_refused_where_they_cannot_work(
    recipe: str, overrides: list[str], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        load_recipe(recipe, overrides=[TRANSPLANT, *overrides])
