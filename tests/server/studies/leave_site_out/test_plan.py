from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from common.errors import ConfigError, RunFolderError
from common.recipe.recipe import load_recipe
from server.studies.leave_site_out.plan import LeaveSiteOutPlan, make_plan
from server.studies.study_folder import StudyFolder, as_json

OVERRIDES = ("federation.rounds=5", "optimizer.steps=7", "federation.quorum=2")


def plan_of(n_sites: int, *overrides: str) -> LeaveSiteOutPlan:
    recipe = load_recipe("default", overrides=[*OVERRIDES, *overrides])
    return make_plan(recipe, {f"site-{i}": Path(f"/data/{i}") for i in range(1, n_sites + 1)})


def test_every_site_is_once_unseen_by_a_federated_and_by_a_pooled_network() -> None:
    plan = plan_of(4)
    for method in ("federated", "pooled"):
        runs = [run for run in plan.runs() if run.method == method]
        assert [run.parts.unseen for run in runs] == [(name,) for name in plan.names]
        for run in runs:
            assert set(run.parts.train) == set(plan.names) - set(run.parts.unseen)


def test_a_local_network_is_trained_once_a_site_and_tested_at_every_other() -> None:
    plan = plan_of(4)
    local = [run for run in plan.runs() if run.method == "local"]
    assert [run.parts.train for run in local] == [(name,) for name in plan.names]
    assert local[1].parts.unseen == ("site-1", "site-3", "site-4")


@pytest.mark.parametrize("n_sites", [3, 5])
def test_every_network_takes_rounds_x_steps_x_one_site_less(n_sites: int) -> None:
    plan = plan_of(n_sites)
    expected = 5 * 7 * (n_sites - 1)
    assert plan.steps_of_each_network == expected
    for run in plan.runs():
        recipe = plan.recipe_of(run)
        n_places = len(run.parts.train) if run.method == "federated" else 1
        assert recipe.federation.rounds * recipe.optimizer.fixed_steps * n_places == expected


def test_a_cascade_takes_its_rounds_twice() -> None:
    """5 rounds for each of two networks, 7 steps, at 3 - 1 sites: 10 x 7 x 2 = 140."""
    overrides = ["federation.rounds=5", "optimizer.steps=7"]
    sites = {name: Path("/data") / name for name in ("lyon", "ghent", "turin")}
    plan = make_plan(load_recipe("galassi2019", overrides=overrides), sites)
    assert plan.steps_of_each_network == 140


def test_steps_quorum_and_scoring_between_are_all_that_differs_from_the_recipe_asked_for() -> None:
    plan = plan_of(4)
    federated, pooled = plan.runs()[0], plan.runs()[4]
    assert plan.recipe_of(federated) == load_recipe(
        "default", overrides=[*OVERRIDES, "federation.quorum=3", "federation.evaluate_every=5"]
    )
    assert plan.recipe_of(pooled) == load_recipe(
        "default",
        overrides=[
            *OVERRIDES,
            "federation.quorum=1",
            "federation.evaluate_every=5",
            "optimizer.steps=21",  # 7 steps x 3 sites
        ],
    )


def test_two_sites_are_too_few() -> None:
    with pytest.raises(ConfigError, match="want at least 3 sites, got 2"):
        plan_of(2)


def test_a_name_that_leaves_no_room_for_without_is_refused() -> None:
    recipe = load_recipe("default")
    sites = {"a": Path("a"), "b": Path("b"), "c" * 56: Path("c")}
    with pytest.raises(ConfigError, match=r"sites\.2\.name"):
        make_plan(recipe, sites)


def test_the_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "study", LeaveSiteOutPlan)
    folder.begin(plan_of(3))
    assert folder.plan() == plan_of(3)


def test_the_same_study_may_begin_twice_and_another_is_refused_by_name(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "study", LeaveSiteOutPlan)
    folder.begin(plan_of(3))
    folder.begin(plan_of(3))
    with pytest.raises(RunFolderError, match=r"another plan \(the recipe differ"):
        folder.begin(plan_of(3, "federation.rounds=6"))
    with pytest.raises(RunFolderError, match=r"another plan \(the sites differ"):
        folder.begin(plan_of(4))


def test_a_folder_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear reader", encoding="utf-8")
    with pytest.raises(RunFolderError, match="is not empty and holds no leave-site-out study"):
        StudyFolder(tmp_path, LeaveSiteOutPlan).begin(plan_of(3))


def test_a_plan_whose_recipe_was_edited_is_refused(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path, LeaveSiteOutPlan)
    folder.begin(plan_of(3))
    text = folder.plan_file.read_text("utf-8")
    folder.plan_file.write_text(text.replace('"seed": 0', '"seed": 1'), encoding="utf-8")
    with pytest.raises(RunFolderError, match="its recipe is not the one that the study began with"):
        folder.plan()


def test_a_plan_of_a_version_with_fewer_settings_is_read_and_keeps_its_digest(
    tmp_path: Path,
) -> None:
    table = json.loads(as_json(plan_of(3)))
    del table["recipe"]["evaluation"]  # a setting that came later, with a default
    older = json.dumps(table["recipe"], sort_keys=True, separators=(",", ":"))
    table["recipe_sha256"] = hashlib.sha256(older.encode()).hexdigest()
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(table), encoding="utf-8")
    plan = StudyFolder(tmp_path, LeaveSiteOutPlan).plan()
    assert plan.recipe.evaluation.preset == "msseg2016"
    assert plan.recipe_sha256 == table["recipe_sha256"]


def test_a_plan_that_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text('{"recipe": ', encoding="utf-8")
    with pytest.raises(RunFolderError, match=r"plan\.json cannot be read as a plan"):
        StudyFolder(tmp_path, LeaveSiteOutPlan).plan()


def test_a_folder_without_a_plan_is_no_study(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="is no leave-site-out study"):
        StudyFolder(tmp_path, LeaveSiteOutPlan).plan()
