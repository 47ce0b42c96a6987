"""Whole federations of toy hospitals after each of the published systems, as small as they get."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.model_file import read_model
from common.phantom.cord_consortium import make_cord_consortium
from common.recipe.recipe import Recipe, load_recipe
from server.evaluation.predict import predict
from server.events.history import read_run
from server.events.run_event import RunEvent
from server.run.checkpoint import load_checkpoint
from server.run.run_folder import RunFolder
from server.run.run_state import RunState
from server.simulate import lay_out, simulate
from tests.toy_sites import longitudinal_site, write_site

TINY = (
    "optimizer.steps=2",
    "federation.rounds=1",
    "federation.evaluate_every=1",
    "federation.wait_for_sites_s=0.2",
    "compute.threads=1",
)
TINY_UNET = ("network.widths=[4, 4, 8, 8]", "network.first_stride=1")
NAMES = ("lyon", "ghent", "porto")


def run(path: Path, sites: dict[str, Path], recipe: Recipe) -> RunFolder:
    """A finished run over all sites but `porto`, which judges."""
    folder = new_run(path, sites, recipe)
    simulate(folder, images=False)
    return folder


def new_run(path: Path, sites: dict[str, Path], recipe: Recipe) -> RunFolder:
    folder = RunFolder(path)
    trained = {name: data for name, data in sites.items() if name != "porto"}
    lay_out(folder, recipe, sites=trained, unseen={"porto": sites["porto"]})
    return folder


def events_of(folder: RunFolder, kind: str) -> list[dict[str, Any]]:
    lines = folder.events_file.read_text("utf-8").splitlines()
    return [event for line in lines if (event := json.loads(line))["event"] == kind]


def require_completed(folder: RunFolder, images: dict[str, Path]) -> None:
    """The run is complete, its report is there, and its model file segments these images."""
    assert events_of(folder, "run-finished")[-1]["status"] == "completed"
    assert "<html" in (folder.path / "report.html").read_text("utf-8")
    model = read_model(folder.model_file)
    prediction = predict(model, images, None)
    likely = prediction.probability.data
    assert prediction.mask.data.shape == likely.shape
    assert ((likely >= 0) & (likely <= 1)).all()
    assert likely.any()


def bits(state: RunState) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in state.parameters.items()}


def cut_at(kind: str, phase: str) -> Callable[[RunEvent], None]:
    """A listener that ends the run as Ctrl-C does, at an event of one phase."""

    def listen(event: RunEvent) -> None:
        if (event.event, getattr(event, "phase", None)) == (kind, phase):
            raise KeyboardInterrupt

    return listen


# Galassi 2019: a cascade


def galassi() -> Recipe:
    overrides = ["sampling.batch_size=16", "network.candidates_above=1.2"]
    return load_recipe("galassi2019", overrides=[*TINY, *overrides])


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Name -> BIDS folder of hospitals of one date and one subject; not to be changed."""
    base = tmp_path_factory.mktemp("hospitals")
    return {
        name: write_site(base / name, name=name, seed=seed, label=name, n_subjects=1).parent
        / "bids"
        for seed, name in enumerate(NAMES)
    }


@pytest.fixture(scope="module")
def cascade(tmp_path_factory: pytest.TempPathFactory, hospitals: dict[str, Path]) -> RunFolder:
    return run(tmp_path_factory.mktemp("cascade") / "run", hospitals, galassi())


def test_a_cascade_trains_twice_with_the_mining_between_and_its_model_predicts(
    cascade: RunFolder, hospitals: dict[str, Path]
) -> None:
    anat = hospitals["porto"] / "sub-porto01" / "anat"
    images = {name: anat / f"sub-porto01_{name}.nii.gz" for name in ("FLAIR", "T1w")}
    require_completed(cascade, images)
    phases = [event["phase"] for event in events_of(cascade, "round-finished")]
    trainings = ["training-first", "mining", "training-second"]
    assert phases == ["statistics", "baseline", *trainings, "site-probe"]
    mined = [event["facts"] for event in events_of(cascade, "reply") if event["phase"] == "mining"]
    assert [facts["n_cases"] for facts in mined] == [1, 1]
    assert all(facts["n_negatives"] > 0 for facts in mined)


def test_a_cascades_rounds_count_on_and_only_one_with_both_networks_is_selected(
    cascade: RunFolder,
) -> None:
    scored = [event["round"] for event in events_of(cascade, "evaluated")]
    assert scored == [0, 0, 1, 2, 2]  # untrained, the baseline, each network's end, the verdict
    assert [event["round"] for event in events_of(cascade, "selected")] == [2]
    assert read_model(cascade.model_file).round_index == 2
    assert [r.index for r in read_run(cascade.events_file).training] == [1, 2]


@pytest.mark.usefixtures("no_charts")
def test_a_cascade_cut_after_the_mining_and_resumed_equals_an_uninterrupted_one(
    cascade: RunFolder, hospitals: dict[str, Path], tmp_path: Path
) -> None:
    cut = new_run(tmp_path / "cut", hospitals, galassi())
    with pytest.raises(KeyboardInterrupt):
        simulate(cut, images=False, listener=cut_at("checkpoint", "mining"))
    assert not cut.model_file.exists()  # no round with both networks yet
    mined = load_checkpoint(cut.checkpoints)
    simulate(cut, images=False)
    assert events_of(cut, "run-finished")[-1]["status"] == "completed"
    ended, uncut = load_checkpoint(cut.checkpoints), load_checkpoint(cascade.checkpoints)
    assert mined is not None
    assert ended is not None
    assert uncut is not None
    assert bits(ended) == bits(uncut)
    changed = {name for name, value in bits(ended).items() if value != bits(mined)[name]}
    assert changed
    assert all(name.startswith("network.second.") for name in changed)


# Kamraoui 2021 and Fenneteau 2021: new lesions between two dates


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Name -> BIDS folder of hospitals with two dates, and two raters each; not to be changed."""
    base = tmp_path_factory.mktemp("followed")
    return {
        name: longitudinal_site(
            base / name, name=name, seed=seed, label=name, n_subjects=1, n_raters=2
        ).parent
        / "bids"
        for seed, name in enumerate(NAMES)
    }


def both_dates(data: Path) -> dict[str, Path]:
    return {
        f"FLAIR-{date}": data
        / "sub-porto01"
        / f"ses-0{date}"
        / "anat"
        / f"sub-porto01_ses-0{date}_FLAIR.nii.gz"
        for date in (1, 2)
    }


def test_kamraouis_loss_is_learned_before_training_and_its_model_predicts(
    followed: dict[str, Path], tmp_path: Path
) -> None:
    recipe = load_recipe(
        "kamraoui2021",
        overrides=[
            *TINY,
            *TINY_UNET,
            "sampling.patch_shape=[32, 32, 32]",
            "sampling.batch_size=2",
            "inference.overlap=0",
            "loss.lesion_wise.from_round=1",
            "loss.lesion_wise.widths=[4, 4]",
            "loss.lesion_wise.n_pairs=10",
            "loss.lesion_wise.steps=2",
            "loss.lesion_wise.batch_size=2",
        ],
    )
    folder = run(tmp_path / "run", followed, recipe)
    require_completed(folder, both_dates(followed["porto"]))
    phases = [event["phase"] for event in events_of(folder, "round-finished")]
    assert phases == ["statistics", "baseline", "lesion-metric", "training", "site-probe"]
    assert len(events_of(folder, "lesion-metric")) == 1
    for reply in events_of(folder, "reply"):
        if reply["phase"] == "training":
            assert 0 <= reply["facts"]["estimated_lesion_f1"] <= 1
            assert 0 <= reply["facts"]["true_lesion_f1"] <= 1


def test_fenneteaus_network_learns_from_raters_and_its_model_predicts_the_consensus(
    followed: dict[str, Path], tmp_path: Path
) -> None:
    recipe = load_recipe(
        "fenneteau2021",
        overrides=[
            *TINY,
            "task.raters=2",
            "network.features=2",
            "network.checkpointing=false",
            "sampling.patch_shape=[32, 32, 32]",
            "sampling.batch_size=2",
            "inference.overlap=0",
        ],
    )
    folder = run(tmp_path / "run", followed, recipe)
    require_completed(folder, both_dates(followed["porto"]))
    [network, *_] = [e for e in events_of(folder, "evaluated") if e["round"] == 1]
    assert [(case["subject"], case["session"]) for case in network["cases"]] == [
        ("sub-porto01", "ses-02")
    ]


# Hussein 2023: the spinal cord


def test_husseins_split_has_a_part_for_the_threshold_and_its_model_predicts(
    tmp_path: Path,
) -> None:
    """Five subjects a site, the third of them without a lesion; a fifth is one subject."""
    folders = make_cord_consortium(
        tmp_path / "cords", n_sites=3, n_subjects=5, seed=3, spacing_mm=2.0
    )
    cords = dict(zip(NAMES, folders, strict=True))
    recipe = load_recipe(
        "hussein2023",
        overrides=[
            *TINY,
            *TINY_UNET,
            "sampling.patch_shape=[32, 32, 32]",
            "sampling.batch_size=2",
            "inference.overlap=0",
            "federation.site_validation_share=0.2",
            "federation.site_threshold_share=0.2",
            "federation.site_test_share=0.2",
        ],
    )
    folder = run(tmp_path / "run", cords, recipe)
    [image, *_] = sorted(cords["porto"].glob("sub-*/anat/*_T2w.nii.gz"))
    require_completed(folder, {"T2w": image})
    phases = [event["phase"] for event in events_of(folder, "round-finished")]
    before = ["statistics", "baseline", "training"]
    before += ["validation", "threshold", "site-test"]  # no validation site: the sites choose
    assert phases == [*before, "site-probe", "site-probe"]  # it has two exchanges
    for split in events_of(folder, "site-split"):
        assert {part: facts["n_subjects"] for part, facts in split["parts"].items()} == {
            "training": 2,
            "validation": 1,
            "threshold": 1,
            "test": 1,
        }
    [chosen], [tested] = events_of(folder, "threshold-chosen"), events_of(folder, "site-test")
    assert (chosen["n_cases"], tested["n_cases"]) == (2, 2)  # one at each of two sites
    assert tested["threshold"] == chosen["threshold"] == read_model(folder.model_file).threshold
    assert read_run(folder.events_file).site_test is not None
