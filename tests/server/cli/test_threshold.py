from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import typer
from torch import nn

from common.arrays import Float32Array
from common.cli.run import run
from common.errors import ModelFileError
from common.imaging.dataset.prepared import PreparedCase, crop_slices
from common.learning.model import new_network
from common.learning.networks.parameters import parameters_of
from common.model_file import Model, read_model, write_model
from common.recipe.recipe import Recipe, load_recipe
from server.cli.threshold import threshold
from server.evaluation.evaluate import evaluate
from server.evaluation.predict import predict
from server.run.run_folder import Consortium, EnrolledSite, HeldOutData, RunFolder
from tests.volumes import SHAPE, brain_voxels, image_path, write_site

RECIPE = load_recipe(
    "default",
    overrides=[
        "network.widths=[4, 4, 8, 8]",
        "network.first_stride=1",
        "sampling.patch_shape=[32, 32, 32]",
        "standardization.method=z-score",
        "compute.threads=1",
    ],
)
Probability = Float32Array


def main(*arguments: str) -> int:
    app = typer.Typer()
    app.command()(threshold)
    return run(app, arguments, name="lesionfed")


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    path = tmp_path / "run" / "model.safetensors"
    path.parent.mkdir()
    model = Model(
        recipe=RECIPE,
        template={},
        threshold=0.5,
        round_index=3,
        run="r1",
        parameters=parameters_of(new_network(RECIPE)),
    )
    write_model(model, path)
    return path


@pytest.fixture
def turin(tmp_path: Path) -> Path:
    """Two subjects with lesions of 6 and 2 voxels of 3.75 mm3 each."""
    return write_site(tmp_path / "turin")


def likely(network: nn.Module, case: PreparedCase, recipe: Recipe) -> Probability:
    """In place of a network: sub-01 is found whole and 4 voxels too many, sub-02 in part."""
    whole = np.zeros(SHAPE, np.float32)
    if case.subject == "sub-01":
        whole[4:6, 5:8, 3] = 0.62
        whole[8, 8, 4:6] = 0.62
        whole[4:6, 5:7, 5] = 0.33  # a lesion that is none, k = 4 between it and the first
    else:
        whole[4:6, 5:8, 3] = 0.45
    return whole[crop_slices(case.crop_start, case.brain.shape)]


@pytest.fixture
def made_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.learning.segmentation.segment", likely)
    monkeypatch.setattr("server.evaluation.evaluate.segment", likely)


# threshold      sub-01: Dice, lesion F1              sub-02: Dice, lesion F1
# 0.05 .. 0.30   2*8/(12+8) = 4/5, 2 of 2 and 2 of 3  2*6/(6+8) = 6/7, 1 of 2 and 1 of 1
# 0.35, 0.40     1, 1                                 6/7, 2/3
# 0.45 .. 0.60   1, 1                                 0, 0   (0.45 is not above 0.45)
# 0.65 .. 0.95   0, 0                                 0, 0
MEAN_DICE = [(4 / 5 + 6 / 7) / 2] * 6 + [(1 + 6 / 7) / 2] * 2 + [1 / 2] * 4 + [0] * 7
MEAN_LESION_F1 = [(4 / 5 + 2 / 3) / 2] * 6 + [(1 + 2 / 3) / 2] * 2 + [1 / 2] * 4 + [0] * 7


@pytest.mark.usefixtures("made_network")
@pytest.mark.parametrize("by", ["dice", "lesion_f1"])
def test_a_sweep_worked_by_hand_and_of_its_tie_the_threshold_nearer_one_half(
    model_file: Path, turin: Path, by: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = model_file.read_bytes()
    assert main(str(model_file), "--on", f"turin={turin}", "--by", by, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    np.testing.assert_allclose(told["mean_dice"], MEAN_DICE, atol=1e-9)
    np.testing.assert_allclose(told["mean_lesion_f1"], MEAN_LESION_F1, atol=1e-9)
    assert (told["threshold"], told["by"], told["n_cases"]) == (0.4, by, 2)
    assert (told["split"], told["at_edge"], told["written"]) == ("sites turin", False, False)
    assert model_file.read_bytes() == before


@pytest.mark.usefixtures("made_network")
def test_the_table_and_the_drawing_are_written_and_the_choice_is_printed(
    model_file: Path, turin: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "sweep"
    assert main(str(model_file), "--on", f"turin={turin}", "--out", str(out), "--quiet") == 0
    printed = capsys.readouterr().out
    assert "chosen  0.4, by mean Dice, on sites turin" in printed
    assert "edge of the grid" not in printed
    rows = list(csv.DictReader((out / "thresholds.csv").read_text("utf-8").splitlines()))
    assert [row["threshold"] for row in rows if row["chosen"] == "1"] == ["0.4"]
    np.testing.assert_allclose([float(row["mean_dice"]) for row in rows], MEAN_DICE, atol=1e-9)
    assert (out / "thresholds.svg").read_text("utf-8").lstrip().startswith("<?xml")


@pytest.mark.usefixtures("made_network")
def test_a_stored_choice_is_what_evaluate_uses(
    model_file: Path, turin: Path, tmp_path: Path
) -> None:
    def dice() -> list[object]:
        rows = evaluate(
            read_model(model_file),
            {"turin": turin},
            out=tmp_path / "evaluation",
            store=tmp_path / "prepared",
            images=False,
        )["turin"]
        return [row.metric("dice") for row in rows]

    assert dice() == [1, 0]  # at 0.5
    assert main(str(model_file), "--on", f"turin={turin}", "--write", "--quiet") == 0
    model = read_model(model_file)
    assert model.threshold == 0.4
    assert model.threshold_choice is not None
    assert model.threshold_choice.split == "sites turin"
    assert dice() == [1, 12 / 14]  # at 0.4


@pytest.mark.parametrize("share", [0.25, 0.75])
def test_the_models_threshold_is_what_predict_uses(
    model_file: Path, turin: Path, share: float
) -> None:
    images = {name: image_path(turin, "sub-01", name) for name in ("FLAIR", "T1w")}
    model = read_model(model_file)
    probability = predict(model, images, None).probability.data
    stored = dataclasses.replace(
        model, threshold=float(np.quantile(probability[brain_voxels()], share))
    )
    found = predict(stored, images, None).mask.data > 0
    np.testing.assert_array_equal(found, probability > stored.threshold)
    assert found.any()
    assert found.sum() != (probability > model.threshold).sum()


def test_the_edge_of_the_grid_is_named(
    model_file: Path,
    turin: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def hardly(network: nn.Module, case: PreparedCase, recipe: Recipe) -> Probability:
        assert case.lesions is not None
        return np.where(case.lesions, np.float32(0.06), np.float32(0))

    monkeypatch.setattr("common.learning.segmentation.segment", hardly)
    assert main(str(model_file), "--on", f"turin={turin}", "--quiet") == 0
    printed = capsys.readouterr().out
    assert "chosen  0.05" in printed
    assert "This is the edge of the grid" in printed


def test_a_case_that_cannot_be_swept_is_left_out_and_named(
    model_file: Path,
    turin: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def diverged(network: nn.Module, case: PreparedCase, recipe: Recipe) -> Probability:
        if case.subject == "sub-02":
            raise ModelFileError("the network gives NaN")
        return likely(network, case, recipe)

    monkeypatch.setattr("common.learning.segmentation.segment", diverged)
    assert main(str(model_file), "--on", f"turin={turin}", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["failed"] == {"turin sub-02": "the network gives NaN"}
    assert (told["n_cases"], told["threshold"]) == (1, 0.5)  # sub-01 alone: a tie of 0.35 to 0.6


def test_sites_without_a_reference_are_refused(
    model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_site(tmp_path / "bare", lesions=False)
    assert main(str(model_file), "--on", f"bare={data}", "--quiet") == 1
    error = capsys.readouterr().err
    assert "no case of bare can be used to choose a threshold" in error
    assert "bare sub-01: no lesion mask to score against" in error


@pytest.mark.parametrize("named", ["porto", "another"], ids=["by its name", "by its folder"])
def test_an_unseen_site_of_the_models_run_is_refused(
    model_file: Path, turin: Path, tmp_path: Path, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    consortium = Consortium(
        run="r1",
        sites=(EnrolledSite(name="lyon", public_key="k"),),
        unseen=(HeldOutData(name="porto", data=turin),),
    )
    run_folder = RunFolder(tmp_path / "made")
    run_folder.create(RECIPE, consortium)
    model_file.rename(run_folder.model_file)
    data = turin if named == "another" else tmp_path
    assert main(str(run_folder.model_file), "--on", f"{named}={data}", "--quiet") == 2
    assert "this site judges this run" in capsys.readouterr().err


def test_the_tables_of_an_evaluation_are_not_written_over(
    model_file: Path, turin: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cases.csv").write_text("site\n", encoding="utf-8")
    arguments = ["--on", f"turin={turin}", "--out", str(tmp_path)]
    assert main(str(model_file), *arguments) == 2
    assert "an evaluation is kept there" in capsys.readouterr().err


def test_help_warns_of_choosing_on_an_unseen_site(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("--help") == 0
    assert "voids the verdict" in " ".join(capsys.readouterr().out.split())
