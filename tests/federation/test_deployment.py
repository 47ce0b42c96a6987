from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from common.recipe.recipe import Recipe, load_recipe
from common.wire.field_types import Arrays
from server.execute_run import execute_run
from server.inline import InlineGrid, inline_key
from server.run.checkpoint import load_checkpoint
from server.run.run_folder import Consortium, EnrolledSite, RunFolder
from tests.federation.consortium import LoopbackConsortium
from tests.toy_sites import write_site

pytestmark = pytest.mark.federation

SITES = ("site-a", "site-b", "site-c")
RUN_S = 600.0
"""Bound on a run of statistics, baseline and two training rounds over real processes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployed:
    """What a run over SuperLink, SuperExec and three SuperNodes left behind.

    status       Flower's word for how it ended
    parameters   of the last round
    unpacked     site -> names of the files of every bundle its Flower unpacked
    """

    status: str
    parameters: Arrays
    unpacked: dict[str, set[str]]


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    base = tmp_path_factory.mktemp("deployed")
    with LoopbackConsortium(base / "processes", toy_sites(base)) as consortium:
        keys = {name: consortium.public_key(name) for name in SITES}
        folder = new_run(base / "run", keys)
        run_id = consortium.submit({"run-folder": str(folder.path)})
        outcome = consortium.wait(run_id, timeout_s=RUN_S)
        assert outcome.status == "finished:completed", outcome.details
        unpacked = {name: files_below(consortium.apps_folder(name)) for name in SITES}
    return Deployed(status=outcome.status, parameters=last_parameters(folder), unpacked=unpacked)


def test_real_processes_give_the_parameters_of_the_inline_engine(
    deployed: Deployed, tmp_path: Path
) -> None:
    folder = new_run(tmp_path / "run", {name: inline_key(name) for name in SITES})
    execute_run(InlineGrid(toy_sites(tmp_path)), folder, engine="inline")
    inline = last_parameters(folder)
    assert deployed.parameters.keys() == inline.keys()
    for name, values in inline.items():
        np.testing.assert_allclose(
            deployed.parameters[name], values, rtol=0, atol=1e-6, err_msg=name
        )


def test_no_python_file_reaches_a_site(deployed: Deployed) -> None:
    assert deployed.unpacked == {name: {"README.md", "pyproject.toml"} for name in SITES}


def toy_sites(base: Path) -> dict[str, Path]:
    """Site name -> its settings file; the same images wherever `base` is."""
    return {name: write_site(base / name, name=name, seed=seed) for seed, name in enumerate(SITES)}


def new_run(path: Path, keys: dict[str, str], members_file: Path | None = None) -> RunFolder:
    """A run of the toy recipe that is ready to start, with sites known by these keys.

    members_file   of a federation, with whose key requests are then signed
    """
    folder = RunFolder(path)
    sites = tuple(EnrolledSite(name=name, public_key=key) for name, key in keys.items())
    consortium = Consortium(run="toy", sites=sites, members_file=members_file)
    folder.create(toy_recipe(), consortium)
    return folder


def toy_recipe() -> Recipe:
    """The default recipe with a network and a training of seconds: two rounds of three steps."""
    return load_recipe(
        "default",
        overrides=[
            "network.widths=[4, 4, 8, 8]",
            "network.first_stride=1",
            "sampling.patch_shape=[32, 32, 32]",
            "optimizer.steps=3",
            "federation.rounds=2",
            "compute.threads=1",
        ],
    )


def last_parameters(folder: RunFolder) -> Arrays:
    state = load_checkpoint(folder.checkpoints)
    assert state is not None
    assert (state.phase, state.round_index) == ("site-probe", 1)  # the last phase was held
    assert state.selected is not None
    assert state.selected.round_index == 2  # after both rounds of training
    return state.parameters


def files_below(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}
