from __future__ import annotations

import json
from pathlib import Path

import pytest

from common.errors import ConfigError, RunFolderError
from common.recipe.recipe import load_recipe
from server.run.run_folder import RunFolder
from server.studies.methods.plan import Beside, MethodsPlan, make_plan
from server.studies.study_folder import StudyFolder, as_json
from tests.toy_sites import write_site

RECIPES = {
    "BM": load_recipe("default"),
    "uniform": load_recipe("default", overrides=["loss.site.name=uniform"]),
}
SITES = {name: Path("/data") / name for name in ("lyon", "ghent", "turin")}
UNSEEN = {"oslo": Path("/data/oslo")}


def plan_of(*seeds: int) -> MethodsPlan:
    return make_plan(RECIPES, seeds=seeds, sites=SITES, unseen=UNSEEN)


def test_every_method_has_a_run_for_each_seed_and_all_methods_come_before_the_next_seed() -> None:
    assert [run.place.as_posix() for run in plan_of(0, 3).runs()] == [
        "BM/seed-0", "uniform/seed-0", "BM/seed-3", "uniform/seed-3",
    ]  # fmt: skip


def test_a_run_has_its_methods_recipe_its_own_seed_and_every_site_in_every_round() -> None:
    plan = plan_of(0, 3)
    run = plan.runs()[2]
    recipe = plan.recipe_of(run)
    assert (recipe.loss.site.name, recipe.seed, recipe.federation.quorum) == ("none", 3, 3)
    assert recipe.optimizer == RECIPES["BM"].optimizer
    assert run.parts.train == ("lyon", "ghent", "turin")
    assert run.parts.unseen == ("oslo",)
    assert run.title == "BM, seed 3"


def test_beside_each_method_stands_the_same_from_pooled_data_with_the_steps_of_all_sites() -> None:
    plan = make_plan(
        RECIPES, seeds=[0, 3], sites=SITES, unseen=UNSEEN, beside=Beside(pooled=list(RECIPES))
    )
    runs = plan.runs()
    assert [run.method for run in runs[:4]] == ["BM", "BM-pooled", "uniform", "uniform-pooled"]
    federated, pooled = (plan.recipe_of(run) for run in runs[4:6])
    assert (pooled.seed, pooled.federation.quorum) == (3, 1)
    assert pooled.optimizer.fixed_steps == 3 * federated.optimizer.fixed_steps  # at three sites
    assert runs[5].parts == runs[4].parts


def test_pooled_runs_over_the_same_sites_share_one_folder_of_links(tmp_path: Path) -> None:
    sites = {
        name: write_site(tmp_path / name, name=name, seed=seed, label=name).parent / "bids"
        for seed, name in enumerate(("lyon", "oslo"))
    }
    plan = make_plan(
        RECIPES, seeds=[0, 1], sites={"lyon": sites["lyon"]}, unseen={"oslo": sites["oslo"]},
        beside=Beside(pooled=list(RECIPES)),
    )  # fmt: skip
    for run in plan.runs():
        new = RunFolder(tmp_path / run.place.as_posix().replace("/", "-"))
        plan.lay_out(run, new, study=tmp_path / "study")
        [site] = new.consortium().sites
        pooled = run.method.endswith("-pooled")
        assert (site.name, site.pooled_from) == (("pooled", ("lyon",)) if pooled else ("lyon", ()))
    assert [path.name for path in (tmp_path / "study" / "pooled-data").iterdir()] == ["pooled"]


def test_in_folds_every_site_is_unseen_once_by_each_method() -> None:
    plan = make_plan(RECIPES, seeds=[0], sites=SITES, n_folds=3)
    runs = plan.runs()
    assert [run.place.as_posix() for run in runs[:3]] == [
        "BM/fold-1-seed-0", "uniform/fold-1-seed-0", "BM/fold-2-seed-0",
    ]  # fmt: skip
    for method in RECIPES:
        unseen = [site for run in runs if run.method == method for site in run.parts.unseen]
        assert sorted(unseen) == sorted(SITES)
    assert runs[0].title == "BM, fold 1, seed 0"


def test_controls_and_lesion_masks_reach_the_runs_that_can_use_them(tmp_path: Path) -> None:
    recipes = {"wise": load_recipe("kamraoui2021"), "plain": load_recipe("fenneteau2021")}
    plan = make_plan(
        recipes, seeds=[0], sites=SITES, unseen=UNSEEN,
        controls={"bern": Path("/data/bern")}, lesion_masks=tmp_path / "masks",
    )  # fmt: skip
    folder = StudyFolder(tmp_path / "study", MethodsPlan)
    folder.begin(plan)
    assert folder.plan() == plan
    for run in plan.runs():
        new = RunFolder(tmp_path / run.method)
        plan.lay_out(run, new, study=folder.path)
        consortium = new.consortium()
        assert [(s.name, s.trains) for s in consortium.sites][-1] == ("bern", False)
        expected = (tmp_path / "masks").resolve() if run.method == "wise" else None
        assert consortium.lesion_masks == expected


def test_lesion_masks_that_no_method_learns_from_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"no method has loss\.lesion_wise"):
        make_plan(RECIPES, seeds=[0], sites=SITES, unseen=UNSEEN, lesion_masks=Path("/masks"))


def test_what_makes_no_study_is_refused() -> None:
    with pytest.raises(ConfigError, match="want --held-out NAME=PATH"):
        make_plan(RECIPES, seeds=[0], sites=SITES)
    with pytest.raises(ConfigError, match="leave out --held-out and --validation"):
        make_plan(RECIPES, seeds=[0], sites=SITES, unseen=UNSEEN, n_folds=3)
    with pytest.raises(ConfigError, match="seed 1 is named twice"):
        plan_of(1, 1)
    with pytest.raises(ConfigError, match="site 'lyon' is named twice"):
        make_plan(RECIPES, seeds=[0], sites=SITES, unseen={"lyon": Path("/data/lyon")})
    with pytest.raises(ConfigError, match=r"methods\.0\.name"):
        make_plan({"../a": RECIPES["BM"]}, seeds=[0], sites=SITES, unseen=UNSEEN)


def test_a_study_continues_under_its_own_plan_alone(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "study", MethodsPlan)
    folder.begin(plan_of(0))
    folder.begin(plan_of(0))
    assert folder.plan() == plan_of(0)
    with pytest.raises(RunFolderError, match=r"another plan \(the seeds differ"):
        folder.begin(plan_of(0, 1))


def test_a_plan_whose_recipe_was_changed_by_hand_is_refused(tmp_path: Path) -> None:
    table = json.loads(as_json(plan_of(0)))
    table["methods"][1]["recipe"]["optimizer"]["steps"] += 1
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(table), encoding="utf-8")
    with pytest.raises(RunFolderError, match="its recipe is not the one that the study began with"):
        StudyFolder(tmp_path, MethodsPlan).plan()


def test_a_folder_without_a_plan_is_no_study(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="is no study of methods"):
        StudyFolder(tmp_path, MethodsPlan).plan()


def test_a_method_alone_trains_at_each_site_by_itself_and_is_judged_at_the_same_unseen_sites() -> (
    None
):
    plan = make_plan(
        RECIPES, seeds=[0], sites=SITES, unseen=UNSEEN, beside=Beside(alone=["uniform"])
    )
    alone = [run for run in plan.runs() if "-alone-" in run.method]
    assert [(run.method, run.parts.train) for run in alone] == [
        ("uniform-alone-lyon", ("lyon",)),
        ("uniform-alone-ghent", ("ghent",)),
        ("uniform-alone-turin", ("turin",)),
    ]
    assert {run.parts.unseen for run in alone} == {("oslo",)}
    assert plan.recipe_of(alone[0]).federation.quorum == 1
    assert plan.recipe_of(alone[0]).optimizer == RECIPES["uniform"].optimizer


def test_in_folds_a_site_alone_has_no_run_where_it_is_held_out_or_validates() -> None:
    beside = Beside(alone=["BM"])
    plan = make_plan({"BM": RECIPES["BM"]}, seeds=[0], sites=SITES, n_folds=3, beside=beside)
    alone = [run for run in plan.runs() if "-alone-" in run.method]
    assert len(alone) == 3  # each of three sites trains in one of three folds
    assert all(run.parts.train[0] not in run.parts.unseen for run in alone)


def test_a_method_trained_once_has_the_first_seed_only_in_every_form() -> None:
    beside = Beside(once=["uniform"], pooled=["uniform"])
    plan = make_plan(RECIPES, seeds=[4, 5], sites=SITES, unseen=UNSEEN, beside=beside)
    assert [(run.method, run.seed) for run in plan.runs()] == [
        ("BM", 4), ("uniform", 4), ("uniform-pooled", 4), ("BM", 5),
    ]  # fmt: skip


def test_a_method_that_is_not_compared_cannot_stand_beside_itself() -> None:
    with pytest.raises(ConfigError, match="--alone BDM: want one of BM, uniform"):
        make_plan(RECIPES, seeds=[0], sites=SITES, unseen=UNSEEN, beside=Beside(alone=["BDM"]))
