from __future__ import annotations

import re

import pytest

from common.errors import ConfigError
from common.recipe.preprocessing import Preprocessing
from common.recipe.recipe import load_recipe

WHOLE = ("denoise", "register", "brain", "bias-field", "resample", "crop")


def preprocessing(**keys: object) -> Preprocessing:
    return Preprocessing.from_table(keys, where="test")


def test_without_steps_a_folder_is_taken_as_it_is() -> None:
    assert preprocessing().steps == ()


def test_the_shipped_recipes_prepare_scanner_images() -> None:
    assert load_recipe("default").preprocessing.steps == WHOLE
    assert load_recipe("aslani2020").preprocessing.space == "mni152"


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(WHOLE, id="Galassi 2019"),
        pytest.param(("brain", "resample"), id="the least"),
        pytest.param(("brain", "bias-field", "register", "denoise", "resample"), id="denoise late"),
        pytest.param(("register", "cord", "bias-field", "resample", "crop"), id="spinal cord"),
    ],
)
def test_an_order_that_works_is_taken(steps: tuple[str, ...]) -> None:
    assert preprocessing(steps=steps).steps == steps


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        (("bias-field", "brain", "resample"), "'bias-field' before 'brain': the bias field is es"),
        (("brain", "crop", "resample"), "'crop' before 'resample': the crop is a box of the comm"),
        (("resample", "brain"), "'resample' before 'brain': the brain is found on the scanner's"),
        (("brain", "resample", "register"), "'resample' before 'register': each image is interp"),
        (("brain", "resample", "denoise"), "'resample' before 'denoise': interpolation leaves no"),
        (("brain", "brain", "resample"), "each step once, got brain more often"),
        (("register", "resample"), "lack 'brain': standardization and training look inside the"),
        (("bias-field", "cord", "resample"), "'bias-field' before 'cord': the bias field is est"),
        (("resample", "cord"), "'resample' before 'cord': the centreline lies in the scanner's"),
        (("brain", "cord", "resample"), "have both 'brain' and 'cord': each says where to look"),
        (("brain", "crop"), "lack 'resample': until then each image stays on the grid it was"),
    ],
)
def test_an_order_that_cannot_work_is_refused_with_the_reason(
    steps: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(reason)):
        preprocessing(steps=steps)


def test_a_step_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"steps.1: Input should be 'denoise', 'register'"):
        preprocessing(steps=["brain", "polish", "resample"])


def test_the_template_s_grid_has_one_spacing() -> None:
    with pytest.raises(
        ConfigError, match=r"a grid of 1 mm, got spacing_mm 0.8; choose space 'own'"
    ):
        preprocessing(steps=["brain", "resample"], space="mni152", spacing_mm=0.8)


def test_the_cord_is_not_moved_to_a_brain_s_template() -> None:
    with pytest.raises(ConfigError, match="'mni152' is a brain's template, and the steps look at"):
        preprocessing(steps=["cord", "resample"], space="mni152")


@pytest.mark.parametrize(
    ("settings", "modalities", "reference"),
    [
        pytest.param({}, ("FLAIR", "T1w"), "T1w", id="T1w where the task has it"),
        pytest.param({}, ("T2w", "FLAIR"), "T2w", id="else the first"),
        pytest.param({"space": "halfway"}, ("T1w", "FLAIR"), "FLAIR", id="two dates: FLAIR"),
        pytest.param({"reference": "T2w"}, ("T1w", "T2w"), "T2w", id="as the recipe says"),
    ],
)
def test_the_reference_is_the_one_that_shows_anatomy_best(
    settings: dict[str, str], modalities: tuple[str, ...], reference: str
) -> None:
    assert preprocessing(**settings).reference_of(modalities) == reference


def test_a_reference_outside_the_task_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"reference must be one of task.modalities"):
        load_recipe("default", overrides=["preprocessing.reference=T2w"])
