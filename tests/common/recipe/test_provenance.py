from __future__ import annotations

import json
import tomllib

import pytest

from common.errors import ConfigError
from common.recipe.provenance import Provenance, dotted_values, read_provenance
from common.recipe.recipe import load_recipe, shipped_recipes

PAPERS = ("galassi2019", "kamraoui2021", "fenneteau2021", "hussein2023", "aslani2020")

NOT_OF_THE_METHOD = {
    "name",
    "description",
    "seed",
    "compute.device",
    "compute.threads",
    "federation.exclude_after",
    "federation.exclude_rounds",
    "federation.largest_share",
    "federation.longest_update",
    "federation.quorum",
    "federation.retries",
    "federation.round_deadline_s",
    "federation.late_weight",
    "federation.step_budget",
    "federation.wait_for_sites_s",
}
NONE_HERE = {
    "federation.drift",
    "federation.moving_average",
    "federation.norms",
    "federation.proximal",
    "federation.server_optimizer.name",
    "federation.site_test_share",
    "federation.site_threshold_share",
    "inference.flips",
    "inference.smallest_from",
    "loss.lesion_wise",
    "loss.site.gradient_bound",
    "loss.site.proximal",
    "loss.site.ramp_rounds",
    "network.full_resolution",
    "preprocessing.reference",
    "sampling.hard_negative_share",
    "standardization.template",
    "task.optional_modalities",
    "task.raters",
}
"""Parts of other methods: without a line, there is none."""

TEXT = """\
# The paper. [stated] is in it; [chosen] is ours.
name = "a"

[network]
name = "unet"              # [stated] 3D
# [chosen] no widths
# are given
widths = [
  16,  # the first
  32,  # [stated] the second
]
norm = "instance"          # without a mark
# [chosen] far above

dropout = 0.0

[loss]
site = { name = "b#1", weight = 0.3 }   # [stated]; pearson 0.2
# [stated] stripped; [chosen] the order
steps = ["c", 'd # e']

[variants.BM]
"loss.site.name" = "none"  # [stated] no head

[scale.small]
"network.widths" = [4]     # [chosen]
"""


def test_a_mark_stands_behind_its_value_or_right_above_it() -> None:
    assert read_provenance(TEXT) == {
        "network.name": Provenance("stated", "3D"),
        "network.widths": Provenance("stated", "the first the second"),  # behind goes before above
        "loss.site.name": Provenance("stated", "pearson 0.2"),
        "loss.site.weight": Provenance("stated", "pearson 0.2"),
        "loss.steps": Provenance("stated and chosen", "[stated] stripped; [chosen] the order"),
        "variants.BM.loss.site.name": Provenance("stated", "no head"),
        "scale.small.network.widths": Provenance("chosen", ""),
    }


def test_comment_lines_above_are_read_as_one() -> None:
    assert read_provenance("[a]\nb = 1\n# [chosen] one\n# two\nc = 2\n")["a.c"] == Provenance(
        "chosen", "one two"
    )


def test_a_value_without_its_end_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"this value has no end: 'a = \[1,'"):
        read_provenance("a = [1,\n")


def test_leaves_are_values_and_empty_tables() -> None:
    table = {"a": {"b": [1], "c": {}}, "d": None}
    assert dotted_values(table) == {"a.b": [1], "a.c": {}, "d": None}


@pytest.mark.parametrize("name", PAPERS)
def test_every_value_of_a_papers_recipe_says_whose_choice_it_is(name: str) -> None:
    text = shipped_recipes()[name].read_text(encoding="utf-8")
    table = tomllib.loads(text)
    for not_of_the_paper in ("name", "description", "seed", "scale"):
        table.pop(not_of_the_paper, None)
    assert sorted(dotted_values(table).keys() - read_provenance(text).keys()) == []


@pytest.mark.parametrize("name", PAPERS)
def test_no_choice_of_a_papers_method_hides_in_a_default(name: str) -> None:
    text = shipped_recipes()[name].read_text(encoding="utf-8")
    recipe = load_recipe(name)
    unmarked = (
        dotted_values(json.loads(recipe.canonical_json())).keys() - read_provenance(text).keys()
    )
    unmarked -= NOT_OF_THE_METHOD | NONE_HERE
    if recipe.network.name == "cascade":  # asked voxel by voxel
        unmarked -= {"inference.overlap", "inference.blend"}
    if recipe.standardization.method != "two-step":
        unmarked.discard("standardization.map")
    if recipe.standardization.method == "z-score":
        unmarked.discard("standardization.template_from")
    if recipe.inference.threshold_from == "fixed":
        unmarked.discard("inference.threshold_by")
    if "cord" not in recipe.preprocessing.steps:
        unmarked.discard("preprocessing.cord_radius_mm")
    assert sorted(unmarked) == []


def test_variants_say_whose_choice_they_are_too() -> None:
    text = shipped_recipes()["aslani2020"].read_text(encoding="utf-8")
    found = read_provenance(text)
    assert found["variants.BDM.network.dropout"].kind == "chosen"
    assert found["variants.pearson.loss.site.weight"].kind == "stated"
