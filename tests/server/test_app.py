from __future__ import annotations

import json
from pathlib import Path

import pytest
from flwr.app import Context, RecordDict

from common.errors import ConfigError, QuorumNotMet
from common.recipe.recipe import load_recipe
from server.app import app
from server.inline import InlineGrid
from server.run.notify_settings import Notify
from server.run.run_folder import Consortium, EnrolledSite, RunFolder
from tests.server.notify.receivers import program


def executed(run_config: dict[str, bool | float | int | str]) -> None:
    """What Flower does with the app, with no site there."""
    context = Context(
        run_id=1, node_id=1, node_config={}, state=RecordDict(), run_config=run_config
    )
    app(InlineGrid({}), context)


def test_how_a_run_ended_is_reported_before_the_app_ends(tmp_path: Path) -> None:
    out = tmp_path / "told"
    run = RunFolder(tmp_path / "run")
    run.create(
        load_recipe("default", overrides=["federation.wait_for_sites_s=0.01"]),
        Consortium(
            run="r1",
            sites=(EnrolledSite(name="lyon", public_key="k"),),
            federation="ms",
            notify=Notify(command=program(out)),
        ),
    )
    with pytest.raises(QuorumNotMet, match="1 are needed"):
        executed({"run-folder": str(run.path)})
    last = json.loads(out.read_text("utf-8").splitlines()[-1])
    assert (last["what"], last["status"]) == ("run-finished", "failed")
    assert (last["federation"], last["run"]) == ("ms", "r1")
    assert "lyon" in last["reason"]


def test_without_a_run_folder_it_says_which_key_is_missing() -> None:
    with pytest.raises(ConfigError, match="run-folder = "):
        executed({})
