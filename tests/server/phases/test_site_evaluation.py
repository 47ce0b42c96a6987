from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from common.errors import ConfigError
from common.recipe.recipe import load_recipe
from server.run.run_folder import Consortium, RunFolder
from server.simulate import lay_out, simulate
from tests.no_charts import without_charts
from tests.toy_sites import write_site

TINY = (
    "network.widths=[4, 4, 8, 8]",
    "network.first_stride=1",
    "sampling.patch_shape=[32, 32, 32]",
    "sampling.batch_size=1",
    "optimizer.steps=1",
    "federation.rounds=1",
    "inference.threshold_from=fixed",
    "inference.overlap=0",
    "compute.threads=1",
)


def events_of(folder: RunFolder, kind: str) -> list[dict[str, Any]]:
    lines = folder.events_file.read_text("utf-8").splitlines()
    return [event for line in lines if (event := json.loads(line))["event"] == kind]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Two hospitals train; ghent scores three cases; a strict one sums over 5 or more."""
    base = tmp_path_factory.mktemp("run")
    data = {
        name: write_site(base / name, name=name, seed=seed, label=name, n_subjects=n).parent
        / "bids"
        for seed, (name, n) in enumerate((("lyon", 1), ("bonn", 1), ("ghent", 3), ("strict", 1)))
    }
    folder = RunFolder(base / "run")
    lay_out(
        folder,
        load_recipe("default", overrides=TINY),
        sites={name: data[name] for name in ("lyon", "bonn")},
        evaluating={name: data[name] for name in ("ghent", "strict")},
    )
    site_file = folder.path / "sites" / "strict" / "site.toml"
    strict = site_file.read_text("utf-8").replace("min_subjects = 1", "min_subjects = 5")
    site_file.write_text(strict, encoding="utf-8")
    with without_charts():
        simulate(folder, images=False)
    return folder


def test_a_site_that_evaluates_scores_all_its_cases_once_and_is_named(
    finished: RunFolder,
) -> None:
    told = {event["site"]: event for event in events_of(finished, "site-evaluation")}
    assert told["ghent"]["n_cases"] == 3
    assert 0 <= told["ghent"]["mean_dice"] <= 1
    assert 0 <= told["ghent"]["mean_lesion_f1"] <= 1
    assert told["ghent"]["threshold"] == 0.5


def test_fewer_subjects_than_the_hospital_allows_give_no_figure(finished: RunFolder) -> None:
    [strict] = [e for e in events_of(finished, "site-evaluation") if e["site"] == "strict"]
    assert (strict["n_cases"], strict["mean_dice"], strict["mean_lesion_f1"]) == (0, None, None)


def test_it_is_asked_for_nothing_else_and_the_template_is_the_training_sites(
    finished: RunFolder,
) -> None:
    phases = {e["phase"] for e in events_of(finished, "reply") if e["site"] in ("ghent", "strict")}
    assert phases == {"site-evaluation"}
    assert events_of(finished, "template")[-1]["n_subjects"] == 2
    roles = {site["name"]: site["role"] for site in events_of(finished, "run-started")[0]["sites"]}
    assert roles["ghent"] == "evaluate"


@pytest.mark.parametrize("trains", [True, False])
def test_a_consortium_file_of_before_there_were_roles_can_still_be_read(trains: bool) -> None:
    old = {"name": "bonn", "public_key": "k", "trains": trains}
    table = {"run": "r", "sites": [{"name": "lyon", "public_key": "l"}, old]}
    consortium = Consortium.from_table(table, where="consortium.toml")
    assert consortium.sites[1].role == ("train" if trains else "statistics")


def test_a_site_without_a_key_needs_a_members_file(tmp_path: Path) -> None:
    table = {"run": "r", "sites": [{"name": "lyon"}]}
    with pytest.raises(ConfigError, match="no public_key, and there is no members_file"):
        Consortium.from_table(table, where="consortium.toml")
    members = {**table, "members_file": tmp_path / "members.json"}
    assert Consortium.from_table(members, where="consortium.toml").sites[0].public_key is None
