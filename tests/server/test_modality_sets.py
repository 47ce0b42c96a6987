"""Sites with different modality sets train together: one has FLAIR alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.imaging.dataset.prepared_site import prepared_site
from common.model_file import read_model
from common.recipe.recipe import Recipe, load_recipe
from server.evaluation.case_row import read_cases
from server.evaluation.predict import predict
from server.run.checkpoint import load_checkpoint
from server.run.run_folder import RunFolder
from server.simulate import lay_out, simulate
from tests.toy_sites import write_site


def recipe(*overrides: str) -> Recipe:
    return load_recipe(
        "default",
        overrides=[
            "network.widths=[4, 4, 8, 8]",
            "network.first_stride=1",
            "sampling.patch_shape=[32, 32, 32]",
            'task.optional_modalities=["T1w"]',
            "optimizer.steps=2",
            "federation.rounds=1",
            "federation.wait_for_sites_s=0.2",
            "compute.threads=1",
            *overrides,
        ],
    )


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Lyon has FLAIR alone, ghent both, and the first of porto's two subjects FLAIR alone."""
    base = tmp_path_factory.mktemp("hospitals")
    found = {
        name: write_site(base / name, name=name, seed=seed, label=name).parent / "bids"
        for seed, name in enumerate(("lyon", "ghent", "porto"))
    }
    for t1w in [*found["lyon"].rglob("*_T1w.nii.gz"), *found["porto"].rglob("*01_T1w.nii.gz")]:
        t1w.unlink()
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, hospitals: dict[str, Path]) -> RunFolder:
    """A run that trained at lyon and ghent and was judged on porto."""
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "finished")
    sites = {name: hospitals[name] for name in ("lyon", "ghent")}
    lay_out(folder, recipe(), sites=sites, unseen={"porto": hospitals["porto"]})
    simulate(folder)
    return folder


def events_of(folder: RunFolder, kind: str) -> list[dict[str, Any]]:
    lines = folder.events_file.read_text("utf-8").splitlines()
    return [event for line in lines if (event := json.loads(line))["event"] == kind]


def test_a_site_with_flair_alone_trains_beside_one_with_both(finished: RunFolder) -> None:
    assert events_of(finished, "run-finished")[-1]["status"] == "completed"
    replied = [e["site"] for e in events_of(finished, "reply") if e["phase"] == "training"]
    assert sorted(replied) == ["ghent", "lyon"]
    described = {event["site"]: event for event in events_of(finished, "site-described")}
    assert described["lyon"]["n_missing"] == {"T1w": 2}
    assert described["ghent"]["n_missing"] == {"T1w": 0}


def test_the_template_of_a_modality_is_that_of_the_sites_that_have_it(finished: RunFolder) -> None:
    """Ghent's two subjects alone make T1w's centres; FLAIR's are of all four."""
    [template] = events_of(finished, "template")
    described = {event["site"]: event for event in events_of(finished, "site-described")}
    assert template["n_subjects"] == 4
    assert described["lyon"]["n_template_without"] == {"T1w": 2}
    assert described["ghent"]["n_template_without"] == {}
    state = load_checkpoint(finished.checkpoints)
    assert state is not None
    assert set(state.template) == {"FLAIR", "T1w"}


def test_the_scores_and_the_report_say_which_image_was_missing(finished: RunFolder) -> None:
    rows = read_cases(finished.evaluation / "cases.csv")
    assert {row.subject: row.missing for row in rows} == {
        "sub-porto01": "T1w",
        "sub-porto02": None,
    }
    assert all(row.failed is None for row in rows)
    report = (finished.path / "report.html").read_text("utf-8")
    assert "T1w missing: 2 of 2" in report
    assert "T1w missing</small>" in report


def test_the_channel_of_a_missing_image_is_zeros_and_stays_so_on_disk(
    finished: RunFolder, hospitals: dict[str, Path], tmp_path: Path
) -> None:
    state = load_checkpoint(finished.checkpoints)
    assert state is not None
    for _ in range(2):  # made, then read back
        site = prepared_site(
            hospitals["porto"], recipe=recipe(), template=state.template, store=tmp_path
        )
        without, with_both = site.cases
        assert (without.missing, with_both.missing) == (("T1w",), ())
        assert not np.asarray(without.image[1]).any()
        assert np.asarray(with_both.image[1]).any()
        np.testing.assert_array_less(1e-3, np.abs(np.asarray(without.image[0])).max())
    said = [f.subject for f in site.findings if f.code == "missing-optional-modality"]
    assert said == ["sub-porto01"]


def test_a_prediction_works_without_the_image_and_says_so(
    finished: RunFolder, hospitals: dict[str, Path]
) -> None:
    model = read_model(finished.model_file)
    flair = hospitals["lyon"] / "sub-lyon01" / "anat" / "sub-lyon01_FLAIR.nii.gz"
    prediction = predict(model, {"FLAIR": flair}, None)
    assert "no T1w: predicted without it" in prediction.notes
    assert np.isfinite(prediction.probability.data).all()
