"""A hostile site beside three honest ones, over SuperLink, SuperExec and SuperNodes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.recipe.recipe import load_recipe
from server.events.history import read_run
from server.run.checkpoint import load_checkpoint
from server.run.run_folder import Consortium, EnrolledSite, RunFolder
from tests.federation.consortium import LoopbackConsortium
from tests.toy_sites import write_site

pytestmark = pytest.mark.federation

HONEST = ("site-a", "site-b", "site-c")
HOSTILE = "site-x"
RUN_S = 600.0
"""Bound on a run of two training rounds over real processes."""
TOY = (
    "network.widths=[4, 4, 8, 8]",
    "network.first_stride=1",
    "sampling.patch_shape=[32, 32, 32]",
    "optimizer.steps=3",
    "federation.rounds=2",
    "federation.exclude_after=100",
    "compute.threads=1",
)

PROGRAM = """
import dataclasses, json
import numpy as np
from common.wire import codec
honest = codec.pack

def pack(message, *, answers=None):
    name = type(message).__name__
    if answers is None or name in ("SiteStatistics", "SiteFailure"):
        return honest(message, answers=answers)
    if name == "SiteUpdate" and int(open(r"ROUND").read() or 0) >= 1:
        most = np.finfo(np.float32).max
        change = {n: np.full_like(a, most if a.dtype.kind == "f" else 1)
                  for n, a in message.change.items()}
        owns = dataclasses.replace(message, n_cases=10**7, change=change)
        return honest(owns, answers=answers)
    if name == "SiteUpdate":
        open(r"ROUND", "w").write("1")
    packed = honest(message, answers=answers)
    header = json.loads(packed.header)
    header["arrays"] = [["change", "w", "float32", [0, 2147483648, 2147483648]]]
    return codec.Packed(json.dumps(header), packed.payload)

codec.pack = pack
"""
"""What the site's interpreter runs first. It answers with a shape that numpy cannot hold, in every
phase but the statistics; from its second update on it claims the model instead."""


def test_an_honest_run_completes_beside_a_hostile_site(tmp_path: Path) -> None:
    names = (*HONEST, HOSTILE)
    sites = {
        name: write_site(tmp_path / name, name=name, seed=seed) for seed, name in enumerate(names)
    }
    program = tmp_path / "program"
    program.mkdir()
    (program / "round").write_text("")
    text = PROGRAM.replace("ROUND", str(program / "round"))
    (program / "sitecustomize.py").write_text(text, encoding="utf-8")
    paths = {HOSTILE: program}
    with LoopbackConsortium(tmp_path / "processes", sites, python_paths=paths) as consortium:
        folder = RunFolder(tmp_path / "run")
        enrolled = tuple(
            EnrolledSite(name=name, public_key=consortium.public_key(name)) for name in names
        )
        recipe = load_recipe("default", overrides=TOY)
        folder.create(recipe, Consortium(run="toy", sites=enrolled))
        run_id = consortium.submit({"run-folder": str(folder.path)})
        outcome = consortium.wait(run_id, timeout_s=RUN_S)
    assert outcome.status == "finished:completed", outcome.details
    history = read_run(folder.events_file)
    assert history.finished is not None
    assert history.finished.status == "completed"
    assert {(f.site, f.code) for f in history.failures} == {(HOSTILE, "wire")}
    phases = {(f.phase, f.round) for f in history.failures}
    assert {("baseline", 1), ("training", 1), ("site-probe", 1)} <= phases
    assert {(one.site, one.round) for one in history.limited} == {(HOSTILE, 2)}
    assert {one.limit for one in history.limited} == {"cases", "length"}
    state = load_checkpoint(folder.checkpoints)
    assert state is not None
    largest = max(float(np.abs(array).max()) for array in state.parameters.values())
    assert largest < 100
