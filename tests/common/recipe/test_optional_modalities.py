from __future__ import annotations

import pytest

from common.errors import ConfigError
from common.recipe.recipe import load_recipe


@pytest.mark.parametrize(
    "optional",
    [
        pytest.param('["FLAIR"]', id="the first, which every case has"),
        pytest.param('["T2w"]', id="not of the task"),
        pytest.param('["T1w", "T1w"]', id="twice"),
    ],
)
def test_only_further_modalities_can_be_optional(optional: str) -> None:
    with pytest.raises(ConfigError, match=r"optional_modalities: want some of \('T1w',\)"):
        load_recipe("default", overrides=[f"task.optional_modalities={optional}"])


def test_no_shipped_recipe_lets_a_case_lack_an_image_unless_it_says_so() -> None:
    assert load_recipe("default").task.optional_modalities == ()
