"""An exam comes to a site while a run lasts: it trains, and nobody changes part."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from common.recipe.recipe import load_recipe
from server.events.event_log import read_events
from server.events.event_text import event_text
from server.events.history import read_run
from server.events.schema import SubjectsChanged
from server.report.render import write_report
from server.run.run_folder import RunFolder
from server.simulate import lay_out, simulate
from tests.cut_run import cut_in_the_second_round
from tests.toy_sites import write_site

TINY = (
    "standardization.method=z-score",
    "network.widths=[4, 4, 8, 8]",
    "network.first_stride=1",
    "sampling.patch_shape=[32, 16, 16]",
    "loss.site.name=none",
    "sampling.batch_size=1",
    "optimizer.steps=1",
    "federation.rounds=3",
    "federation.site_validation_share=0.5",
    "inference.threshold_from=fixed",
    "inference.overlap=0",
    "compute.threads=1",
)

pytestmark = pytest.mark.usefixtures("no_charts")


def test_an_exam_that_comes_in_round_2_only_trains_and_the_run_says_so(tmp_path: Path) -> None:
    """Half of two subjects is kept for the round; half of three would be another one."""
    sites = {
        name: write_site(tmp_path / name, name=name, seed=seed, label=name, n_subjects=n).parent
        / "bids"
        for seed, (name, n) in enumerate({"lyon": 3, "ghent": 2}.items())
    }
    new, masks = sites["lyon"] / "sub-lyon03", sites["lyon"] / "derivatives/manual/sub-lyon03"
    for number, folder in enumerate((new, masks)):
        shutil.move(folder, tmp_path / f"later-{number}")
    run = RunFolder(tmp_path / "run")
    lay_out(run, load_recipe("default", overrides=TINY), sites=sites)
    cut_in_the_second_round(run)
    for number, folder in enumerate((new, masks)):
        shutil.move(tmp_path / f"later-{number}", folder)

    simulate(run, images=False)

    events = list(read_events(run.events_file))
    [change] = [event for event in events if isinstance(event, SubjectsChanged)]
    assert (change.site, change.n_new, change.n_lost) == ("lyon", 1, 0)
    assert "lyon has other subjects than when the run began" in event_text(change)
    history = read_run(run.events_file)
    trained = [of_round.replies["lyon"].fact("n_cases") for of_round in history.training]
    kept = [of_round.replies["lyon"].fact("n_validation_cases") for of_round in history.training]
    assert trained in ([1, 2, 2], [1, 1, 2])  # lyon or ghent had answered round 2 before the cut
    assert kept == [1, 1, 1]
    assert history.finished is not None
    assert history.finished.status == "completed"
    assert "1 new, which only trained" in write_report(run.path, images=False).read_text()
