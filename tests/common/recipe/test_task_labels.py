from __future__ import annotations

import pytest

from common.recipe.recipe import load_recipe
from common.recipe.task import Task
from common.recipe.task_labels import picture_labels, task_labels, threshold_name


@pytest.mark.parametrize(
    ("name", "threshold", "lesions", "images", "region"),
    [
        ("default", "FLAIR threshold", "lesions", "FLAIR and T1w", "brain"),
        ("hussein2023", "T2w threshold", "lesions", "T2w", "cord region"),
        ("kamraoui2021", "FLAIR change threshold", "new lesions", "FLAIR of two dates", "brain"),
    ],
)
def test_a_recipe_is_named_by_its_modality_its_target_and_its_region(
    name: str, threshold: str, lesions: str, images: str, region: str
) -> None:
    recipe = load_recipe(name)
    words = task_labels(recipe.task, recipe.preprocessing)
    assert (words.threshold, words.lesions) == (threshold, lesions)
    assert (words.images, words.region) == (images, region)
    assert words.lesion == lesions[:-1]
    assert threshold_name(recipe.task) == threshold


def test_of_two_dates_the_later_ones_first_modality_is_the_last_picture() -> None:
    # the channels are FLAIR-1, T1w-1, FLAIR-2, T1w-2
    task = Task(modalities=("FLAIR", "T1w"), target="new-lesions")
    assert list(picture_labels(task).items()) == [
        ("FLAIR, earlier date", 0),
        ("FLAIR, later date", 2),
    ]
    assert picture_labels(Task(modalities=("T2w",))) == {"T2w": 0}
