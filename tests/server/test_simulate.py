"""Whole federations of toy hospitals in one process: the real apps, the real files."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from flwr.app import Message

from common.errors import ConfigError, QuorumNotMet, RunFolderError
from common.imaging.volume import Volume, read_volume, write_volume
from common.recipe.recipe import Recipe, load_recipe
from common.wire.codec import answered_by, pack, unpack
from common.wire.flower_record import from_record, to_record
from common.wire.messages import SiteUpdate
from server.evaluation.case_row import read_cases
from server.events.run_event import RunEvent
from server.execute_run import execute_run
from server.inline import InlineGrid
from server.report.render import write_report
from server.run.checkpoint import load_checkpoint
from server.run.run_folder import Consortium, EnrolledSite, HeldOutData, RunFolder
from server.simulate import lay_out, simulate
from tests.drawn import draw_on_thick_slices
from tests.toy_sites import write_site

TINY = (
    "network.widths=[4, 4, 8, 8]",
    "network.first_stride=1",
    "sampling.patch_shape=[32, 32, 32]",
    'loss.site={name = "uniform", weight = 0.3}',
    "optimizer.steps=2",
    "federation.rounds=2",
    "federation.evaluate_every=1",
    "federation.wait_for_sites_s=0.2",
    "compute.threads=1",
)
NAMES = ("lyon", "ghent", "turin", "porto")

pytestmark = pytest.mark.usefixtures("no_charts")


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Name -> BIDS folder of four toy hospitals; not to be changed."""
    base = tmp_path_factory.mktemp("hospitals")
    return {
        name: write_site(base / name, name=name, seed=seed, label=name).parent / "bids"
        for seed, name in enumerate(NAMES)
    }


def tiny(*overrides: str) -> Recipe:
    return load_recipe("default", overrides=[*TINY, *overrides])


def new_run(
    path: Path, hospitals: dict[str, Path], recipe: Recipe, *, unseen: tuple[str, ...] = ("porto",)
) -> RunFolder:
    folder = RunFolder(path)
    sites = {name: data for name, data in hospitals.items() if name not in unseen}
    lay_out(folder, recipe, sites=sites, unseen={name: hospitals[name] for name in unseen})
    return folder


def events_of(folder: RunFolder, kind: str) -> list[dict[str, Any]]:
    lines = folder.events_file.read_text("utf-8").splitlines()
    return [event for line in lines if (event := json.loads(line))["event"] == kind]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, hospitals: dict[str, Path]) -> RunFolder:
    """A completed run of three hospitals, judged on the fourth."""
    folder = new_run(tmp_path_factory.mktemp("runs") / "finished", hospitals, tiny())
    simulate(folder)
    return folder


def test_a_run_ends_completed_with_model_report_scores_and_pictures(finished: RunFolder) -> None:
    assert events_of(finished, "run-finished")[-1]["status"] == "completed"
    assert finished.model_file.is_file()
    assert (finished.path / "report.html").is_file()
    rows = (finished.evaluation / "cases.csv").read_text("utf-8").splitlines()
    assert rows[0].startswith("site,subject,session,grid,failed,dice")
    assert [row.split(",")[:2] for row in rows[1:]] == [
        ["porto", "sub-porto01"],
        ["porto", "sub-porto02"],
    ]
    assert sorted(p.name for p in (finished.evaluation / "porto").iterdir()) == [
        "sub-porto01.png",
        "sub-porto01.view.json",
        "sub-porto02.png",
        "sub-porto02.view.json",
    ]


def test_the_unseen_site_is_scored_before_training_after_every_round_and_by_the_baseline(
    finished: RunFolder,
) -> None:
    scored = [(event["method"], event["round"]) for event in events_of(finished, "evaluated")]
    assert scored == [
        ("network", 0),
        ("baseline", 0),
        ("network", 1),
        ("network", 2),
        ("network", 2),  # the verdict, from the model file
    ]


def test_the_verdict_from_the_model_file_is_that_of_the_selected_round(
    finished: RunFolder,
) -> None:
    last_round, verdict = events_of(finished, "evaluated")[-2:]
    assert verdict["cases"] == last_round["cases"]


def test_the_verdict_of_network_and_threshold_is_where_the_lesions_were_drawn(
    hospitals: dict[str, Path], tmp_path: Path
) -> None:
    """One of porto's two subjects has its reference on the scanner's grid; the rounds do not care.

    The tables, the events of the end and the report say so.
    """
    own = write_site(tmp_path / "porto", name="porto", seed=3).parent / "bids"
    draw_on_thick_slices(own, "sub-01")
    folder = new_run(tmp_path / "run", {**hospitals, "porto": own}, tiny())
    simulate(folder)
    write_report(folder.path)
    evaluated = events_of(folder, "evaluated")
    grids = [[case["grid"] for case in event["cases"]] for event in evaluated]
    assert grids == [["prepared", "prepared"]] * 4 + [["scanner", "prepared"]] * 2
    assert [event["method"] for event in evaluated[-2:]] == ["network", "baseline"]
    for table in ("cases", "baseline"):
        rows = read_cases(folder.evaluation / f"{table}.csv")
        assert [row.grid for row in rows] == ["scanner", "prepared"]
    [beside] = read_cases(folder.evaluation / "cases_prepared_grid.csv")
    assert beside.as_dict() == evaluated[3]["cases"][0]
    report = (folder.path / "report.html").read_text("utf-8")
    assert "1 of 2 scored cases on the scanner&#39;s own grid" in report
    assert 'These are scored on the prepared grid: <span class="name">porto sub-02</span>' in report


def test_the_head_is_in_the_checkpoint_and_not_in_the_model_file(finished: RunFolder) -> None:
    state = load_checkpoint(finished.checkpoints)
    assert state is not None
    assert any(name.startswith("head.") for name in state.parameters)
    model = safetensors.numpy.load_file(finished.model_file)
    network = {
        name.removeprefix("network.") for name in state.parameters if name.startswith("network.")
    }
    assert model.keys() == network


def test_the_template_is_the_mean_over_every_training_subject(finished: RunFolder) -> None:
    template = events_of(finished, "template")[-1]
    assert template["n_subjects"] == 6  # two at each of three sites
    assert set(template["landmarks"]) == {"FLAIR", "T1w"}
    for landmarks in template["landmarks"].values():
        assert landmarks == sorted(landmarks)


def test_nothing_a_site_sent_holds_a_path_or_a_subject(
    finished: RunFolder, hospitals: dict[str, Path]
) -> None:
    for event in events_of(finished, "reply") + events_of(finished, "site-described"):
        text = json.dumps(event)
        assert "sub-" not in text
        assert not any(str(folder) in text for folder in hospitals.values())


def test_the_same_seed_gives_identical_parameters(
    finished: RunFolder, hospitals: dict[str, Path], tmp_path: Path
) -> None:
    again = new_run(tmp_path / "again", hospitals, tiny())
    simulate(again, images=False)
    assert same_parameters(finished, again)


def test_another_seed_gives_other_parameters(
    finished: RunFolder, hospitals: dict[str, Path], tmp_path: Path
) -> None:
    other = new_run(tmp_path / "other", hospitals, tiny("seed=1"))
    simulate(other, images=False)
    assert not same_parameters(finished, other)


def same_parameters(a: RunFolder, b: RunFolder) -> bool:
    first, second = load_checkpoint(a.checkpoints), load_checkpoint(b.checkpoints)
    assert first is not None
    assert second is not None
    assert first.parameters.keys() == second.parameters.keys()
    return all(
        array.tobytes() == second.parameters[name].tobytes()
        for name, array in first.parameters.items()
    )


def cut_at(kind: str, occurrence: int) -> Callable[[RunEvent], None]:
    """A listener that ends the run as Ctrl-C does, at the n-th event of one kind."""
    seen = 0

    def listen(event: RunEvent) -> None:
        nonlocal seen
        seen += event.event == kind
        if event.event == kind and seen == occurrence:
            raise KeyboardInterrupt

    return listen


@pytest.mark.parametrize(
    ("kind", "occurrence"),
    [
        pytest.param("template", 1, id="in the statistics"),
        pytest.param("reply", 8, id="in the first training round"),
        pytest.param("evaluated", 3, id="while the first round is judged"),
        pytest.param("checkpoint", 5, id="after the first round is judged"),
    ],
)
def test_a_run_that_was_cut_and_resumed_equals_an_uninterrupted_one(
    finished: RunFolder, hospitals: dict[str, Path], tmp_path: Path, kind: str, occurrence: int
) -> None:
    cut = new_run(tmp_path / "cut", hospitals, tiny())
    with pytest.raises(KeyboardInterrupt):
        simulate(cut, images=False, listener=cut_at(kind, occurrence))
    assert events_of(cut, "run-finished")[-1]["status"] == "stopped"
    simulate(cut, images=False)
    assert events_of(cut, "run-finished")[-1]["status"] == "completed"
    assert same_parameters(finished, cut)
    assert cut.model_file.read_bytes().endswith(finished.model_file.read_bytes()[-64:])


def test_a_folder_that_holds_a_run_is_not_written_over(
    finished: RunFolder, hospitals: dict[str, Path]
) -> None:
    with pytest.raises(RunFolderError, match=r"is not empty. Choose another --out, or --resume"):
        new_run(finished.path, hospitals, tiny())


def test_a_half_written_last_event_does_not_harm_a_resumed_run(
    hospitals: dict[str, Path], tmp_path: Path
) -> None:
    cut = new_run(tmp_path / "cut", hospitals, tiny())
    with pytest.raises(KeyboardInterrupt):
        simulate(cut, images=False, listener=cut_at("template", 1))
    with cut.events_file.open("a", encoding="utf-8") as file:
        file.write('{"time": "2026-01-01T00:00:00+00:00", "event": "eval')
    simulate(cut, images=False)
    assert events_of(cut, "run-finished")[-1]["status"] == "completed"
    assert (cut.path / "report.html").is_file()


def test_a_run_does_not_go_on_with_a_subject_that_has_come_to_both_sides(
    hospitals: dict[str, Path], tmp_path: Path
) -> None:
    own = {name: tmp_path / "data" / name for name in hospitals}
    for name, data in hospitals.items():
        shutil.copytree(data, own[name])
    cut = new_run(tmp_path / "cut", own, tiny())
    with pytest.raises(KeyboardInterrupt):
        simulate(cut, images=False, listener=cut_at("template", 1))
    shutil.copytree(own["lyon"] / "sub-lyon01", own["porto"] / "sub-lyon01")
    before = folder_content(cut.path)
    words = r"training site lyon \(.* and held-out site porto \(.* both have sub-lyon01"
    with pytest.raises(ConfigError, match=words):
        simulate(cut, images=False)
    assert folder_content(cut.path) == before
    shutil.rmtree(own["porto"] / "sub-lyon01")
    for file in (own["porto"] / "sub-porto01").rglob("*.nii.gz"):
        file.touch()  # changed, and no leak
    simulate(cut, images=False)
    assert events_of(cut, "run-finished")[-1]["status"] == "completed"


def test_a_run_does_not_go_on_with_another_recipe(
    hospitals: dict[str, Path], tmp_path: Path
) -> None:
    cut = new_run(tmp_path / "cut", hospitals, tiny())
    with pytest.raises(KeyboardInterrupt):
        simulate(cut, images=False, listener=cut_at("template", 1))
    changed = cut.recipe_file.read_text("utf-8").replace("seed = 0", "seed = 1")
    cut.recipe_file.write_text(changed, encoding="utf-8")
    before = folder_content(cut.path)
    with pytest.raises(RunFolderError, match=r"recipe.toml has changed since this run started"):
        simulate(cut, images=False)
    assert folder_content(cut.path) == before


def test_a_run_of_another_version_is_left_as_it_was(
    hospitals: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(tmp_path / "run", hospitals, tiny("federation.rounds=1"))
    simulate(run, images=False)
    before = folder_content(run.path)
    monkeypatch.setattr("server.events.same_run.code_digest", lambda: "0" * 64)
    with pytest.raises(RunFolderError, match=r"LesionFed's own code has changed since this run"):
        simulate(run, images=False)
    assert folder_content(run.path) == before


def folder_content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_one_site_in_two_roles_is_refused(tmp_path: Path) -> None:
    site = EnrolledSite(name="lyon", public_key="k")
    with pytest.raises(ValueError, match="site 'lyon' is named twice"):
        Consortium(run="r", sites=(site,), unseen=(HeldOutData(name="lyon", data=tmp_path),))


def test_a_validation_site_chooses_the_round(hospitals: dict[str, Path], tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    lay_out(
        folder,
        tiny("federation.rounds=3"),
        sites={name: hospitals[name] for name in ("lyon", "ghent")},
        validation={"turin": hospitals["turin"]},
        unseen={"porto": hospitals["porto"]},
    )
    state = simulate(folder, images=False)
    dice = {
        event["round"]: np.mean([case["dice"] for case in event["cases"]])
        for event in events_of(folder, "evaluated")
        if event["role"] == "validation" and event["method"] == "network" and event["round"] > 0
    }
    assert state.selected is not None
    assert state.selected.round_index == max(dice, key=lambda r: (dice[r], -r))
    assert state.selected.by == "mean Dice on the validation sites"


def hospital_with(
    tmp_path: Path, hospitals: dict[str, Path], change: Callable[[Path], None]
) -> dict[str, Path]:
    """The hospitals with `ghent` written again and changed."""
    data = write_site(tmp_path / "ghent", name="ghent", seed=1).parent / "bids"
    change(data)
    return {**hospitals, "ghent": data}


def lesions_of(data: Path, subject: str) -> Path:
    folder = data / "derivatives" / "manual" / subject / "anat"
    return folder / f"{subject}_desc-lesion_mask.nii.gz"


def without_lesions(data: Path) -> None:
    for subject in ("sub-01", "sub-02"):
        mask = read_volume(lesions_of(data, subject))
        empty = Volume(np.zeros(mask.data.shape, np.uint8), mask.affine)
        write_volume(empty, lesions_of(data, subject))


def truncated_flair(data: Path) -> None:
    path = data / "sub-01" / "anat" / "sub-01_FLAIR.nii.gz"
    path.write_bytes(path.read_bytes()[:2000])


def mask_on_another_grid(data: Path) -> None:
    mask = read_volume(lesions_of(data, "sub-01"))
    affine = mask.affine.copy()
    affine[0, 3] += 0.5
    write_volume(Volume(mask.data.astype(np.uint8), affine), lesions_of(data, "sub-01"))


def test_a_site_without_lesions_that_is_asked_to_train_is_named_with_its_code(
    hospitals: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    changed = hospital_with(tmp_path, hospitals, without_lesions)
    folder = new_run(tmp_path / "run", changed, tiny())
    with pytest.raises(QuorumNotMet, match=r"ghent: SiteDataError \(no-lesions\)"):
        simulate(folder, images=False)
    assert "has a lesion in its reference. Add lesion masks" in caplog.text  # at the site
    [ended] = events_of(folder, "run-finished")
    assert ended["status"] == "failed"
    assert "no-lesions" in ended["reason"]


def test_a_site_without_lesions_may_join_the_statistics(
    hospitals: dict[str, Path], tmp_path: Path
) -> None:
    changed = hospital_with(tmp_path, hospitals, without_lesions)
    folder = RunFolder(tmp_path / "run")
    lay_out(
        folder,
        tiny("federation.rounds=1"),
        sites={name: changed[name] for name in ("lyon", "turin")},
        controls={"ghent": changed["ghent"]},
    )
    simulate(folder, images=False)
    assert events_of(folder, "template")[-1]["n_subjects"] == 6
    trained = {e["site"] for e in events_of(folder, "reply") if e["phase"] == "training"}
    assert trained == {"lyon", "turin"}


@pytest.mark.parametrize(
    "change", [truncated_flair, mask_on_another_grid], ids=["truncated", "another grid"]
)
def test_a_case_that_cannot_be_used_is_left_out_and_the_rest_continues(
    hospitals: dict[str, Path], tmp_path: Path, change: Callable[[Path], None]
) -> None:
    changed = hospital_with(tmp_path, hospitals, change)
    folder = new_run(tmp_path / "run", changed, tiny("federation.rounds=1"))
    simulate(folder, images=False)
    [ghent] = [e for e in events_of(folder, "site-described") if e["site"] == "ghent"]
    assert (ghent["n_cases"], ghent["n_quarantined"]) == (1, 1)
    assert ghent["n_findings"]["blocking"] == 1


def test_a_case_of_the_unseen_site_that_cannot_be_used_stays_in_the_denominator(
    hospitals: dict[str, Path], tmp_path: Path
) -> None:
    changed = hospital_with(tmp_path, hospitals, truncated_flair)
    folder = new_run(tmp_path / "run", changed, tiny("federation.rounds=1"), unseen=("ghent",))
    simulate(folder, images=False)
    cases = events_of(folder, "evaluated")[-1]["cases"]
    assert [(case["subject"], case["failed"]) for case in cases] == [
        ("sub-02", None),
        ("sub-01", "left out: truncated"),
    ]


class TamperingGrid(InlineGrid):
    """One site's updates are changed on their way."""

    def __init__(self, folder: RunFolder, site: str, change: Callable[[SiteUpdate], SiteUpdate]):
        names = [site.name for site in folder.consortium().sites]
        super().__init__({name: folder.path / "sites" / name / "site.toml" for name in names})
        self._tampered = names.index(site) + 2
        self._change = change

    def _answer(self, message: Message) -> Message:
        reply = super()._answer(message)
        packed = from_record(reply.content, limit_bytes=1 << 30)
        if message.metadata.dst_node_id != self._tampered or '"SiteUpdate"' not in packed.header:
            return reply
        changed = self._change(unpack(packed, SiteUpdate))
        reply.content = to_record(pack(changed, answers=answered_by(packed)))
        return reply


def with_nan(update: SiteUpdate) -> SiteUpdate:
    name, array = next(iter(update.change.items()))
    update.change[name] = np.full_like(array, np.nan)
    return update


def without_an_array(update: SiteUpdate) -> SiteUpdate:
    update.change.popitem()
    return update


@pytest.mark.parametrize("change", [with_nan, without_an_array])
def test_a_reply_that_would_spoil_the_aggregate_is_left_out_and_its_site_named(
    hospitals: dict[str, Path], tmp_path: Path, change: Callable[[SiteUpdate], SiteUpdate]
) -> None:
    recipe = tiny("federation.quorum=2", "federation.rounds=1")
    folder = new_run(tmp_path / "run", hospitals, recipe)
    execute_run(TamperingGrid(folder, "turin", change), folder, engine="inline", images=False)
    failed = {(e["site"], e["error"], e["code"]) for e in events_of(folder, "site-failed")}
    assert failed == {("turin", "UpdateRejected", "update-rejected")}
    state = load_checkpoint(folder.checkpoints)
    assert state is not None
    assert all(np.isfinite(array).all() for array in state.parameters.values())


def test_a_reply_with_nan_ends_the_run_where_every_site_is_needed(
    hospitals: dict[str, Path], tmp_path: Path
) -> None:
    folder = new_run(tmp_path / "run", hospitals, tiny())
    with pytest.raises(QuorumNotMet, match=r"turin: UpdateRejected \(update-rejected\)"):
        execute_run(TamperingGrid(folder, "turin", with_nan), folder, engine="inline", images=False)
    assert events_of(folder, "run-finished")[-1]["status"] == "failed"


def test_with_too_few_sites_the_run_ends_within_the_bounded_wait_and_says_who_is_missing(
    hospitals: dict[str, Path], tmp_path: Path
) -> None:
    folder = new_run(tmp_path / "run", hospitals, tiny())
    files = {name: folder.path / "sites" / name / "site.toml" for name in ("lyon", "ghent")}
    started = time.monotonic()
    with pytest.raises(
        QuorumNotMet, match=r"after 0.2 s 2 of 3 sites are online and 3 are needed. Missing: turin"
    ):
        execute_run(InlineGrid(files), folder, engine="inline", images=False)
    assert time.monotonic() - started < 100  # by default it would wait 120 s
    assert events_of(folder, "run-finished")[-1]["status"] == "failed"


def test_a_site_that_is_missing_does_not_stop_the_others_where_the_quorum_is_met(
    hospitals: dict[str, Path], tmp_path: Path
) -> None:
    folder = new_run(
        tmp_path / "run", hospitals, tiny("federation.quorum=2", "federation.rounds=1")
    )
    files = {name: folder.path / "sites" / name / "site.toml" for name in ("lyon", "ghent")}
    execute_run(InlineGrid(files), folder, engine="inline", images=False)
    absent = {(e["site"], e["code"]) for e in events_of(folder, "site-failed")}
    assert absent == {("turin", "absent")}


class SilentGrid(InlineGrid):
    """One site takes the message and never answers."""

    silent: str

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        node_ids = {name: node_id for node_id, name in self._names.items()}
        for message_id in message_ids:
            if self._waiting[message_id].metadata.dst_node_id != node_ids[self.silent]:
                yield from super().pull_messages([message_id])


def test_a_site_that_does_not_answer_by_the_deadline_is_left_out(
    hospitals: dict[str, Path], tmp_path: Path
) -> None:
    recipe = tiny("federation.quorum=2", "federation.rounds=1", "federation.round_deadline_s=1.5")
    folder = new_run(tmp_path / "run", hospitals, recipe)
    names = [site.name for site in folder.consortium().sites]
    grid = SilentGrid({name: folder.path / "sites" / name / "site.toml" for name in names})
    grid.silent = "turin"
    execute_run(grid, folder, engine="inline", images=False)
    late = {(e["site"], e["error"], e["code"]) for e in events_of(folder, "site-failed")}
    assert late == {("turin", "DeadlinePassed", "deadline")}


def test_a_quorum_above_the_number_of_sites_is_refused(
    hospitals: dict[str, Path], tmp_path: Path
) -> None:
    folder = new_run(tmp_path / "run", hospitals, tiny("federation.quorum=4"))
    with pytest.raises(ConfigError, match=r"federation.quorum: want at most the 3 sites, got 4"):
        simulate(folder, images=False)


@pytest.fixture
def other_code(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The sites believe to run another version of the packages."""
    monkeypatch.setattr("client.app.code_digest", lambda: "0" * 64)
    return iter(())


@pytest.mark.usefixtures("other_code")
def test_a_site_with_other_code_says_so(hospitals: dict[str, Path], tmp_path: Path) -> None:
    folder = new_run(tmp_path / "run", hospitals, tiny())
    with pytest.raises(QuorumNotMet, match=r"lyon: CodeMismatch \(code-mismatch\)"):
        simulate(folder, images=False)


def test_fewer_subjects_than_the_hospital_allows_are_not_summed(
    hospitals: dict[str, Path], tmp_path: Path
) -> None:
    folder = new_run(tmp_path / "run", hospitals, tiny())
    site_file = folder.path / "sites" / "lyon" / "site.toml"
    strict = site_file.read_text("utf-8").replace("min_subjects = 1", "min_subjects = 3")
    site_file.write_text(strict, encoding="utf-8")
    with pytest.raises(QuorumNotMet, match=r"lyon: PolicyRefused \(too-few-subjects\)"):
        simulate(folder, images=False)
