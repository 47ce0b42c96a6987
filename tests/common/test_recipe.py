from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import ConfigError
from common.imaging.preprocessing.standardization import N_LANDMARKS
from common.recipe import SCALABLE, Recipe, load_recipe, recipe_from_table, shipped_recipes
from common.settings import read_toml


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
@pytest.mark.parametrize("scale", ["full", "small"])
def test_every_shipped_recipe_is_valid_at_both_scales(name: str, scale: str) -> None:
    recipe = load_recipe(name, scale="small" if scale == "small" else "full")
    assert recipe.name == name


def test_the_default_recipe_is_the_mission() -> None:
    recipe = load_recipe("default")
    assert recipe.standardization.method == "two-step"
    assert recipe.loss.site.name == "uniform"
    assert recipe.network.norm == "instance"


def test_a_misspelt_key_is_refused_with_the_right_one() -> None:
    with pytest.raises(
        ConfigError, match=r"optimizer.learning_rat: unknown key; did you mean 'lea"
    ):
        load_recipe("default", overrides=["optimizer.learning_rat=0.1"])


def test_an_unknown_recipe_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"no recipe named 'defualt': want one of aslani2020, "):
        load_recipe("defualt")


def test_a_recipe_read_back_from_its_canonical_json_has_the_same_digest() -> None:
    recipe = load_recipe("aslani2020", overrides=["seed=7"])
    again = Recipe.model_validate_json(recipe.canonical_json())
    assert again.sha256() == recipe.sha256()


def test_an_override_and_a_scale_change_the_digest() -> None:
    digests = {
        load_recipe("default").sha256(),
        load_recipe("default", scale="small").sha256(),
        load_recipe("default", overrides=["seed=1"]).sha256(),
    }
    assert len(digests) == 3


def test_the_small_scale_changes_sizes_and_steps_only() -> None:
    full = load_recipe("aslani2020").model_dump()
    small = load_recipe("aslani2020", scale="small").model_dump()
    changed = {
        f"{section}.{key}"
        for section, settings in full.items()
        if isinstance(settings, dict)
        for key in settings
        if settings[key] != small[section][key]
    }
    assert changed
    assert changed <= SCALABLE


def test_a_scale_that_would_change_the_method_is_refused() -> None:
    table = read_toml(shipped_recipes()["default"])
    table["scale"] = {"small": {"loss.segmentation": "dice"}}
    with pytest.raises(ConfigError, match=r"may change sizes and steps only .*, got loss.segm"):
        recipe_from_table(table, where="mine.toml", scale="small")


def test_an_override_wins_over_the_scale() -> None:
    recipe = load_recipe("default", scale="small", overrides=["federation.rounds=41"])
    assert recipe.federation.rounds == 41


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        pytest.param(["sampling.patch_shape=[64, 64, 40]"], "multiples of 32", id="patch size"),
        pytest.param(["sampling.patch_shape=[32, 32, 32]"], "leaves one voxel", id="one voxel"),
        pytest.param(["task.modalities=['FLAIR', 'FLAIR']"], "each modality once", id="twice"),
        pytest.param(
            ["federation.site_validation_share=0"],
            "inference.threshold_from = 'sites' chooses .* keeps none. Raise the share",
            id="a threshold from cases that no site keeps",
        ),
        pytest.param(["standardization.template_from=fixed"], "must name", id="no template"),
        pytest.param(
            ["standardization.template.FLAIR=[0.3, 0.9, 1.1]"], "must name", id="unused template"
        ),
        pytest.param(
            [
                "task.modalities=['FLAIR']",
                "standardization.template_from=fixed",
                "standardization.template.FLAIR=[0.9, 0.9, 1.1]",
            ],
            "must rise",
            id="two equal centres",
        ),
        pytest.param(
            [
                "task.modalities=['FLAIR']",
                "standardization.method=nyul",
                "standardization.template_from=fixed",
                "standardization.template.FLAIR=[0.3, 0.9, 1.1]",
            ],
            "must have 13 numbers with method 'nyul', got 3",
            id="class centres for Nyul",
        ),
    ],
)
def test_parts_that_do_not_fit_are_refused(overrides: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_recipe("default", overrides=overrides)


def test_a_recipe_of_ones_own_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(shipped_recipes()["default"].read_bytes())
    assert load_recipe(str(path)) == load_recipe("default")


def test_the_learning_rate_decays_from_round_to_round() -> None:
    optimizer = load_recipe(
        "default", overrides=["optimizer.learning_rate=0.008", "optimizer.decay=0.5"]
    ).optimizer
    assert [optimizer.learning_rate_in(r) for r in (1, 2, 4)] == [0.008, 0.004, 0.001]


def test_a_fixed_nyul_template_has_thirteen_landmarks() -> None:
    landmarks = [0, 20, 30, 35, 40, 45, 50, 55, 60, 65, 70, 80, 100]
    recipe = load_recipe(
        "default",
        overrides=[
            "task.modalities=['FLAIR']",
            "standardization.method=nyul",
            "standardization.template_from=fixed",
            f"standardization.template.FLAIR={landmarks}",
        ],
    )
    assert recipe.standardization.template == {"FLAIR": tuple(landmarks)}
    assert not recipe.standardization.learns_template


@pytest.mark.parametrize("method", ["two-step", "nyul", "z-score", "none"])
def test_recipe_and_method_agree_on_the_number_of_landmarks(method: str) -> None:
    settings = load_recipe("default", overrides=[f"standardization.method={method}"])
    assert settings.standardization.n_landmarks == N_LANDMARKS.get(method, 0)
    assert settings.standardization.learns_template == (method in N_LANDMARKS)
