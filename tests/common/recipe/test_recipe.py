from __future__ import annotations

from operator import attrgetter
from pathlib import Path

import pytest

from common.errors import ConfigError
from common.imaging.standardization.standardization import N_LANDMARKS
from common.recipe.provenance import dotted_values
from common.recipe.recipe import (
    SCALABLE,
    Recipe,
    Scale,
    load_recipe,
    recipe_from_table,
    shipped_recipes,
    variants_of,
)
from common.settings import read_toml


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
@pytest.mark.parametrize("scale", ["full", "small"])
def test_every_shipped_recipe_is_valid_at_both_scales(name: str, scale: str) -> None:
    recipe = load_recipe(name, scale="small" if scale == "small" else "full")
    assert recipe.name == name


def test_the_default_recipe_is_the_mission() -> None:
    recipe = load_recipe("default")
    assert recipe.standardization.method == "two-step"
    assert recipe.loss.site.name == "none"  # docs/adr/0043
    assert recipe.network.name == "unet"
    assert recipe.network.norm == "instance"
    assert recipe.loss.segmentation.name == "dice"
    assert recipe.loss.lesion_wise is None


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


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_the_small_scale_changes_sizes_and_steps_only(name: str) -> None:
    full = dotted_values(load_recipe(name).model_dump())
    small = dotted_values(load_recipe(name, scale="small").model_dump())
    changed = {key for key in full.keys() | small.keys() if full.get(key) != small.get(key)}
    assert changed
    tables = {"optimizer.steps.patches_per_subject": "optimizer.steps"}  # a number replaces it
    assert {tables.get(key, key) for key in changed} <= SCALABLE


def variant_ids() -> list[tuple[str, str]]:
    return [(name, variant) for name in shipped_recipes() for variant in variants_of(name)]


@pytest.mark.parametrize(("name", "variant"), variant_ids())
@pytest.mark.parametrize("size", ["full", "small"])
def test_every_variant_of_a_shipped_recipe_is_valid_and_differs_where_it_says(
    name: str, variant: str, size: Scale
) -> None:
    plain = dotted_values(load_recipe(name, scale=size).model_dump())
    varied = dotted_values(load_recipe(name, scale=size, variant=variant).model_dump())
    changed = {key for key in plain.keys() | varied.keys() if plain.get(key) != varied.get(key)}
    told = tuple(variants_of(name)[variant])
    assert [key for key in changed if not f"{key}.".startswith(tuple(f"{t}." for t in told))] == []


MINE = """
name = "mine"
description = "a test"
[task]
modalities = ["FLAIR"]
[standardization]
method = "z-score"
[network]
name = "unet"
widths = [4, 4, 4, 8]
[loss]
segmentation = { name = "tversky", false_negatives = 0.8 }
site = { name = "none", weight = 0.0 }
[sampling]
patch_shape = [32, 32, 48]
batch_size = 2
[optimizer]
name = "adam"
learning_rate = 0.01
steps = 100
[federation]
rounds = 10
"""
VARIANTS = """
[scale.small]
"optimizer.steps" = 5
[variants.plain]
"loss.segmentation" = { name = "dice" }
[variants.short]
"optimizer.steps" = 50
"federation.aggregation" = "median"
"""


def mine(folder: Path, *tables: str) -> str:
    path = folder / "mine.toml"
    path.write_text("".join((MINE, *tables)), encoding="utf-8")
    return str(path)


def test_a_variant_s_table_replaces_the_whole_value(tmp_path: Path) -> None:
    source = mine(tmp_path, VARIANTS)
    assert load_recipe(source).loss.segmentation.name == "tversky"
    # the Tversky loss's own setting goes with it: Dice has no false_negatives
    assert load_recipe(source, variant="plain").loss.segmentation.name == "dice"


def test_a_variant_wins_over_the_scale_and_an_override_over_both(tmp_path: Path) -> None:
    source = mine(tmp_path, VARIANTS)
    steps = [
        load_recipe(source).optimizer.steps,
        load_recipe(source, scale="small").optimizer.steps,
        load_recipe(source, scale="small", variant="plain").optimizer.steps,
        load_recipe(source, scale="small", variant="short").optimizer.steps,
        load_recipe(source, variant="short", overrides=["optimizer.steps=7"]).optimizer.steps,
    ]
    assert steps == [100, 5, 5, 50, 7]
    assert load_recipe(source, variant="short").federation.aggregation == "median"


def test_a_variant_has_a_digest_of_its_own(tmp_path: Path) -> None:
    source = mine(tmp_path, VARIANTS)
    digests = {load_recipe(source, variant=v).sha256() for v in (None, "plain", "short")}
    assert len(digests) == 3


def test_the_variants_are_reported_with_their_settings(tmp_path: Path) -> None:
    assert variants_of(mine(tmp_path, VARIANTS)) == {
        "plain": {"loss.segmentation": {"name": "dice"}},
        "short": {"optimizer.steps": 50, "federation.aggregation": "median"},
    }
    assert variants_of(mine(tmp_path)) == {}
    of_the_paper = {"BM", "BDM", "pearson", "uniform", "random"}
    ours = {"fed_confusion", "fedharmony", "moment_align"}
    assert set(variants_of("aslani2020")) == of_the_paper | ours


def test_an_unknown_variant_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no variant 'plane'; want one of plain, short$"):
        load_recipe(mine(tmp_path, VARIANTS), variant="plane")
    with pytest.raises(ConfigError, match=r"no variant 'plain'; want one of none: it has no \[var"):
        load_recipe(mine(tmp_path), variant="plain")


def test_a_variant_that_is_no_table_is_refused(tmp_path: Path) -> None:
    source = mine(tmp_path, "[variants]\nplain = 3\n")
    for wanted in (lambda: variants_of(source), lambda: load_recipe(source, variant="plain")):
        with pytest.raises(
            ConfigError, match=r"mine.toml: \[variants\] holds tables, one a method"
        ):
            wanted()


def test_a_variant_with_a_misspelt_key_is_refused_where_it_is_used(tmp_path: Path) -> None:
    source = mine(tmp_path, '[variants.plain]\n"optimizer.stesp" = 3\n')
    assert load_recipe(source).name == "mine"
    with pytest.raises(ConfigError, match=r"optimizer.stesp: unknown key; did you mean 'steps'"):
        load_recipe(source, variant="plain")


def test_a_cascade_trains_its_rounds_twice() -> None:
    assert load_recipe("galassi2019", overrides=["federation.rounds=7"]).n_training_rounds == 14
    assert load_recipe("default", overrides=["federation.rounds=7"]).n_training_rounds == 7


@pytest.mark.parametrize(
    ("overrides", "channels", "n_outputs"),
    [
        pytest.param([], ("FLAIR", "T1w"), 1, id="one date"),
        pytest.param(
            ["task.target=new-lesions", "preprocessing.space=halfway", "task.raters=2"],
            ("FLAIR-1", "T1w-1", "FLAIR-2", "T1w-2"),
            3,
            id="all of the earlier date, then of the later; two raters and the consensus",
        ),
    ],
)
def test_the_network_reads_each_date_in_turn_and_answers_for_each_rater(
    overrides: list[str], channels: tuple[str, ...], n_outputs: int
) -> None:
    task = load_recipe("default", overrides=overrides).task
    assert task.channels == channels
    assert task.n_outputs == n_outputs
    assert [task.modality_of(channel) for channel in channels] == [
        c.removesuffix("-1").removesuffix("-2") for c in channels
    ]


@pytest.mark.parametrize(
    ("shares", "fits"),
    [
        pytest.param((0.4, 0.2, 0.2), True, id="0.8 leaves a fifth to train"),
        pytest.param((0.4, 0.3, 0.2), False, id="0.9 does not"),
    ],
)
def test_most_of_a_site_s_subjects_may_not_be_kept_from_training(
    shares: tuple[float, float, float], fits: bool
) -> None:
    names = ("site_validation_share", "site_threshold_share", "site_test_share")
    overrides = [f"federation.{n}={v}" for n, v in zip(names, shares, strict=True)]
    if fits:
        assert load_recipe("default", overrides=overrides).federation.site_test_share == 0.2
        return
    with pytest.raises(ConfigError, match=r"add up to 0.9; want at most 0.8, for the rest trains"):
        load_recipe("default", overrides=overrides)


def test_a_scale_that_would_change_the_method_is_refused() -> None:
    table = read_toml(shipped_recipes()["default"])
    table["scale"] = {"small": {"loss.segmentation": {"name": "bce"}}}
    with pytest.raises(ConfigError, match=r"may change sizes and steps only .*, got loss.segm"):
        recipe_from_table(table, where="mine.toml", scale="small")


def test_an_override_wins_over_the_scale() -> None:
    recipe = load_recipe("default", scale="small", overrides=["federation.rounds=41"])
    assert recipe.federation.rounds == 41


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        pytest.param(["task.modalities=['FLAIR', 'FLAIR']"], "each modality once", id="twice"),
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


@pytest.mark.parametrize("scale", ["full", "small"])
def test_a_variant_takes_the_lesion_wise_loss_away_at_every_scale(scale: Scale) -> None:
    """The scale's sizes of a loss that is not there are no settings of the variant."""
    never = load_recipe("kamraoui2021", scale=scale, variant="never")
    assert never.loss.lesion_wise is None
    later = load_recipe("kamraoui2021", scale=scale, variant="later")
    assert later == load_recipe("kamraoui2021", scale=scale)
    first = load_recipe("kamraoui2021", scale=scale, variant="from-round-1")
    assert first.loss.lesion_wise is not None
    assert first.loss.lesion_wise.from_round == 1
    assert never.loss.segmentation == first.loss.segmentation == later.loss.segmentation


def test_the_lesion_wise_loss_is_taken_away_by_name_alone() -> None:
    assert load_recipe("kamraoui2021", overrides=["loss.lesion_wise=none"]) == load_recipe(
        "kamraoui2021", variant="never"
    )
    with pytest.raises(ConfigError, match=r"loss\.lesion_wise: .*, got 'never'"):
        load_recipe("kamraoui2021", overrides=["loss.lesion_wise=never"])


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("loss.site.gradient_bound", 0.5),
        ("federation.quorum", 2),
        ("federation.step_budget", 0.3),
        ("preprocessing.reference", "T1w"),
    ],
)
def test_a_setting_that_may_be_unset_is_unset_by_none(setting: str, value: object) -> None:
    given = load_recipe("default", overrides=[f"{setting}={value}"])
    unset = load_recipe("default", overrides=[f"{setting}={value}", f"{setting}=none"])
    assert attrgetter(setting)(given) == value
    assert attrgetter(setting)(unset) is None
    assert unset.sha256() != given.sha256()


@pytest.mark.parametrize(
    ("override", "told"),
    [
        (
            "loss.site.gradient_bound=off",
            r"loss\.site\.gradient_bound: want a number above 0, or \"none\", got 'off'",
        ),
        ("federation.quorum=most", r"federation\.quorum: want a whole number, or \"none\""),
        ("federation.step_budget=all", r"federation\.step_budget: want a share, or \"none\""),
        (
            "loss.segmentation.name=bce",
            r"is set whole: --set 'loss\.segmentation=\{name=\"bce\"\}'",
        ),
        ("loss.lesion_wise=off", r"loss\.lesion_wise: want a table of its settings, or \"none\""),
        (
            "optimizer.steps.patches_per_subject=9",
            r"^optimizer\.steps\.pat.*set 'steps' to a whole",
        ),
        ("sampling.name=grid", r"lesion_share is 0\.7; set it to 1"),
    ],
)
def test_an_override_that_does_not_fit_says_what_to_write(override: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        load_recipe("hussein2023", overrides=[override])
