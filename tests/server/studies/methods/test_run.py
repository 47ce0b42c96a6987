"""Whole studies of toy hospitals: two methods, the real rounds and files."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.errors import RunFolderError
from common.recipe.recipe import Recipe, load_recipe
from server.events.history import read_run
from server.events.run_event import RunEvent
from server.events.schema import RoundStarted
from server.studies.methods.plan import Beside, MethodsPlan, make_plan
from server.studies.methods.results import write_results
from server.studies.plan import PlannedRun
from server.studies.run_results import outcome_of
from server.studies.run_study import Listener, run_study
from server.studies.study_folder import StudyFolder
from tests.no_charts import without_charts
from tests.toy_sites import write_site

NAMES = ("lyon", "ghent", "turin")
Study = StudyFolder[MethodsPlan]
TABLES = ("table.csv", "summary.csv", "paper-table.md", "paper-table.txt", "validation-dice.svg")


def tiny(*more: str) -> Recipe:
    overrides = (
        "network.widths=[4, 4, 8, 8]",
        "network.first_stride=1",
        "sampling.patch_shape=[32, 32, 32]",
        "optimizer.steps=1",
        "federation.rounds=1",
        "compute.threads=1",
    )
    return load_recipe("default", overrides=[*overrides, *more])


@pytest.fixture(scope="module", autouse=True)
def _no_charts() -> Iterator[None]:
    with without_charts():
        yield


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Name -> BIDS folder of three toy hospitals; not to be changed."""
    base = tmp_path_factory.mktemp("hospitals")
    return {
        name: write_site(base / name, name=name, seed=seed, label=name, n_subjects=1).parent
        / "bids"
        for seed, name in enumerate(NAMES)
    }


def plan_of(hospitals: dict[str, Path]) -> MethodsPlan:
    recipes = {"uniform": tiny("loss.site.name=uniform"), "none": tiny()}
    return make_plan(recipes, seeds=[0], sites=hospitals, n_folds=3)


@pytest.fixture(scope="module")
def finished(hospitals: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Three folds of two methods, never cut off."""
    study = StudyFolder(tmp_path_factory.mktemp("studies") / "finished", MethodsPlan)
    study.begin(plan_of(hospitals))
    run_study(study)
    write_results(study)
    return study


def table_of(study: Study) -> list[dict[str, str]]:
    return list(csv.DictReader(study.table_file.read_text(encoding="utf-8").splitlines()))


def bytes_of(study: Study) -> dict[str, bytes]:
    return {name: (study.path / name).read_bytes() for name in TABLES}


def test_every_case_is_in_the_table_once_a_method_judged_where_its_site_was_unseen(
    finished: Study,
) -> None:
    rows = table_of(finished)
    found = sorted((row["variant"], row["seed"], row["site"], row["subject"]) for row in rows)
    assert found == sorted(
        (m, "0", name, f"sub-{name}01") for m in ("uniform", "none") for name in NAMES
    )
    assert all(row["failed"] == "" and row["dice"] != "" for row in rows)
    for run in finished.plan().runs():
        record = read_run(finished.run_folder(run).events_file)
        assert record.sites("unseen") == list(run.parts.unseen)
        assert record.sites("validation") == list(run.parts.validation)
        assert record.sites("train") == list(run.parts.train)


def test_a_finished_study_trains_nothing_when_it_continues(finished: Study) -> None:
    before = bytes_of(finished)

    def never(run: PlannedRun) -> None:
        raise AssertionError(f"{run.title} was run again")

    run_study(finished, watch=never)  # type: ignore[arg-type] # it must not be called
    write_results(finished)
    assert bytes_of(finished) == before


def test_the_page_stands_alone_and_says_in_what_the_methods_differ(finished: Study) -> None:
    page = finished.page_file.read_text(encoding="utf-8")
    assert "loss.site.name" in page
    assert "optimizer.steps</code></th>" not in page
    assert "<script" not in page
    assert "uniform, fold 3, seed 0" in page


def test_the_page_says_where_a_method_alone_and_a_pooled_one_learned(
    hospitals: dict[str, Path], tmp_path: Path
) -> None:
    study = StudyFolder(tmp_path / "planned", MethodsPlan)
    forms = Beside(pooled=["none"], alone=["none"])
    study.begin(make_plan({"none": tiny()}, seeds=[0], sites=hospitals, n_folds=3, beside=forms))
    write_results(study)  # of a study that has yet to run
    page = study.page_file.read_text(encoding="utf-8")
    for where in ("at the sites", "pooled", "lyon alone", "ghent alone", "turin alone"):
        assert f"<code>&#34;{where}&#34;</code>" in page
    assert "only at the sites of the folds in which that site trains" in page


@contextmanager
def cut_in_the_first_round(_run: PlannedRun) -> Iterator[Listener]:
    """Ends the study as Ctrl-C does."""

    def listen(event: RunEvent) -> None:
        if isinstance(event, RoundStarted) and event.phase == "training":
            raise KeyboardInterrupt

    yield listen


def test_a_study_that_was_cut_continues_to_the_same_tables(
    finished: Study, hospitals: dict[str, Path], tmp_path: Path
) -> None:
    study = StudyFolder(tmp_path / "cut", MethodsPlan)
    study.begin(plan_of(hospitals))
    with pytest.raises(KeyboardInterrupt):
        run_study(study, watch=cut_in_the_first_round)
    ended = [outcome_of(study, run).failed for run in study.plan().runs()]
    assert ended == ["stopped: interrupted at the coordinator", *["not run yet"] * 5]
    write_results(study)
    assert {row["failed"] for row in table_of(study)} == {"the run failed"}
    run_study(study)
    write_results(study)
    assert bytes_of(study) == bytes_of(finished)


def test_other_code_does_not_go_on_with_a_study(
    hospitals: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = StudyFolder(tmp_path / "study", MethodsPlan)
    study.begin(plan_of(hospitals))
    monkeypatch.setattr("server.studies.run_study.code_digest", lambda: "0" * 64)
    with pytest.raises(RunFolderError, match="code has changed since this study began, and 6 net"):
        run_study(study)
