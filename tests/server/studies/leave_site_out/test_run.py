"""Whole studies of toy hospitals: three sites, nine networks, the real rounds and files."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from common.errors import RunFolderError
from common.imaging.volume import Volume, read_volume, write_volume
from common.recipe.recipe import load_recipe
from server.evaluation.case_row import read_cases
from server.events.history import read_run
from server.events.run_event import RunEvent
from server.events.schema import RoundStarted
from server.studies.leave_site_out.plan import LeaveSiteOutPlan, make_plan
from server.studies.leave_site_out.results import write_results
from server.studies.plan import PlannedRun
from server.studies.run_results import outcome_of
from server.studies.run_study import Listener, run_study
from server.studies.study_folder import StudyFolder
from tests.no_charts import without_charts
from tests.server.studies.leave_site_out.made_study import Study
from tests.toy_sites import write_site
from tests.waiting import wait_until

ROOT = Path(__file__).parents[4]
NAMES = ("lyon", "ghent", "turin")
TINY = (
    "network.widths=[4, 4, 8, 8]",
    "network.first_stride=1",
    "sampling.patch_shape=[32, 32, 32]",
    'loss.site={name = "uniform", weight = 0.3}',
    "optimizer.steps=1",
    "federation.rounds=1",
    "compute.threads=1",
)
TABLES = ("matrix.csv", "table.csv", *(f"{m}/cases.csv" for m in ("federated", "pooled", "local")))


@pytest.fixture(scope="module", autouse=True)
def _no_charts() -> Iterator[None]:
    with without_charts():
        yield


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Name -> BIDS folder of three toy hospitals; not to be changed."""
    base = tmp_path_factory.mktemp("hospitals")
    return {
        name: write_site(base / name, name=name, seed=seed, label=name).parent / "bids"
        for seed, name in enumerate(NAMES)
    }


def plan_of(hospitals: dict[str, Path]) -> LeaveSiteOutPlan:
    return make_plan(load_recipe("default", overrides=TINY), hospitals)


@pytest.fixture(scope="module")
def finished(hospitals: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study that was never cut off."""
    study = StudyFolder(tmp_path_factory.mktemp("studies") / "finished", LeaveSiteOutPlan)
    study.begin(plan_of(hospitals))
    run_study(study)
    write_results(study)
    return study


def bytes_of(study: Study) -> dict[str, bytes]:
    return {name: (study.path / name).read_bytes() for name in TABLES}


def test_every_network_has_a_run_a_report_and_no_picture(finished: Study) -> None:
    for run in finished.plan().runs():
        assert outcome_of(finished, run).failed is None
        assert (finished.path / run.place / "report.html").is_file()
    assert not list(finished.path.rglob("*.png"))
    assert finished.page_file.is_file()


def test_every_case_is_judged_once_by_each_method_where_it_was_unseen(
    finished: Study,
) -> None:
    cases = {(name, f"sub-{name}{number}") for name in NAMES for number in ("01", "02")}
    for method in ("federated", "pooled", "local", "baseline"):
        rows = read_cases(finished.cases_file(method))
        assert len(rows) == 6
        assert {(row.site, row.subject) for row in rows} == cases
        assert all(row.failed is None for row in rows)


def test_no_network_was_trained_on_the_site_that_judges_it(finished: Study) -> None:
    for run in finished.plan().runs():
        record = read_run(finished.run_folder(run).events_file)
        assert record.sites("unseen") == list(run.parts.unseen)
        names = [f"without-{run.parts.unseen[0]}"] if run.method == "pooled" else run.parts.train
        assert record.sites("train") == list(names)
        assert not {*record.sites("train")} & {*run.parts.unseen}


def test_the_site_head_is_off_where_one_site_trains_alone(finished: Study) -> None:
    for run in finished.plan().runs():
        [trained] = read_run(finished.run_folder(run).events_file).training
        spreads = [reply.fact("head_spread") for reply in trained.replies.values()]
        assert all((spread is None) == (run.method == "local") for spread in spreads)


def test_a_finished_study_trains_nothing_when_it_continues(finished: Study) -> None:
    before = bytes_of(finished)

    def never(run: PlannedRun) -> None:
        raise AssertionError(f"{run.title} was run again")

    run_study(finished, watch=never)  # type: ignore[arg-type] # it must not be called
    write_results(finished)
    assert bytes_of(finished) == before


def test_other_code_does_not_go_on_with_a_study(
    hospitals: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = StudyFolder(tmp_path / "study", LeaveSiteOutPlan)
    study.begin(plan_of(hospitals))
    monkeypatch.setattr("server.studies.run_study.code_digest", lambda: "0" * 64)
    with pytest.raises(RunFolderError, match="code has changed since this study began, and 9 net"):
        run_study(study)


def test_a_run_cut_off_between_its_end_and_its_report_gets_the_report(
    finished: Study,
) -> None:
    report = finished.path / "local" / "turin" / "report.html"
    report.unlink()
    run_study(finished)
    assert report.is_file()


def test_a_report_that_fails_does_not_keep_the_study_from_its_tables(
    finished: Study, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_folder: Path, *, images: bool) -> Path:
        raise ValueError("a chart without a point")

    (finished.path / "local" / "turin" / "report.html").unlink()
    monkeypatch.setattr("server.studies.run_study.write_report", broken)
    run_study(finished)
    assert "local, turin alone: the report could not be written" in caplog.text


PROGRAM = """\
import sys
from pathlib import Path
import server.execute_run
from server.studies.leave_site_out.plan import LeaveSiteOutPlan
from server.studies.run_study import run_study
from server.studies.study_folder import StudyFolder
from tests.no_charts import report_of_one_line

server.execute_run.write_report = report_of_one_line
run_study(StudyFolder(Path(sys.argv[1]), LeaveSiteOutPlan))
"""


@pytest.mark.slow  # a second process, and a second study
@pytest.mark.parametrize(
    ("place", "event"),
    [
        pytest.param("federated/without-ghent", b'"round-started"', id="in a round"),
        pytest.param("pooled/without-turin", b'"evaluated"', id="while it is judged"),
    ],
)
def test_a_study_that_was_killed_and_resumed_has_the_same_tables_byte_for_byte(
    finished: Study, hospitals: dict[str, Path], tmp_path: Path, place: str, event: bytes
) -> None:
    study = StudyFolder(tmp_path / "killed", LeaveSiteOutPlan)
    study.begin(plan_of(hospitals))
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(study.path)], cwd=ROOT)
    _wait_for(study.path / place / "events.jsonl", event, process)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert [outcome_of(study, run).failed for run in study.plan().runs()].count(None) in range(1, 9)
    run_study(study)
    write_results(study)
    assert bytes_of(study) == bytes_of(finished)


def _wait_for(file: Path, words: bytes, process: subprocess.Popen[bytes]) -> None:
    """Returns when the words are in the file; fails when the process ends before."""

    def look() -> bool:
        assert process.poll() is None, "the study ended before it could be killed"
        return file.exists() and words in file.read_bytes()

    wait_until(look, f"{words!r} in {file}", limit_s=1200, pause_s=0.005)


def test_a_site_without_lesions_fails_where_it_trains_and_the_others_continue(
    finished: Study, hospitals: dict[str, Path], tmp_path: Path
) -> None:
    ghent = tmp_path / "ghent"
    shutil.copytree(hospitals["ghent"], ghent)
    for mask in ghent.rglob("*desc-lesion_mask.nii.gz"):
        volume = read_volume(mask)
        write_volume(Volume(np.zeros(volume.data.shape, np.uint8), volume.affine), mask)
    study = StudyFolder(tmp_path / "study", LeaveSiteOutPlan)
    study.begin(plan_of({**hospitals, "ghent": ghent}))
    run_study(study)
    failed = {
        run.place.as_posix(): outcome.failed
        for run in study.plan().runs()
        if (outcome := outcome_of(study, run)).failed is not None
    }
    # pooled networks learn from the cases of the others
    assert failed.keys() == {"federated/without-lyon", "federated/without-turin", "local/ghent"}
    assert all("ghent: SiteDataError (no-lesions)" in str(reason) for reason in failed.values())
    write_results(study)
    rows = read_cases(study.cases_file("federated"))
    assert [row.site for row in rows if row.failed == "the run failed"] == [
        "lyon", "lyon", "turin", "turin",
    ]  # fmt: skip


@contextmanager
def cut_in_the_first_round(_run: PlannedRun) -> Iterator[Listener]:
    """Ends the study as Ctrl-C does."""

    def listen(event: RunEvent) -> None:
        if isinstance(event, RoundStarted) and event.phase == "training":
            raise KeyboardInterrupt

    yield listen


def test_ctrl_c_stops_the_whole_study_and_leaves_the_rest_for_later(
    hospitals: dict[str, Path], tmp_path: Path
) -> None:
    study = StudyFolder(tmp_path / "study", LeaveSiteOutPlan)
    study.begin(plan_of(hospitals))
    with pytest.raises(KeyboardInterrupt):
        run_study(study, watch=cut_in_the_first_round)
    ended = [outcome_of(study, run).failed for run in study.plan().runs()]
    assert ended == ["stopped: interrupted at the coordinator", *["not run yet"] * 8]
