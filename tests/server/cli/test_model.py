"""A model packed, shown, and used without being named: FLAIR with T1w, and FLAIR alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from common.arrays import Float32Array
from common.errors import ModelFileError
from common.imaging.dataset.prepared import PreparedCase
from common.imaging.volume import read_volume
from common.learning.model import NETWORK, initial_parameters, part
from common.model_file import RESEARCH_USE, Model, read_model, write_model
from common.recipe.recipe import Recipe, load_recipe
from server.cli import main
from server.evaluation import predict as predict_module
from server.evaluation import shipped_model as shipped
from server.evaluation.predict import predict
from server.evaluation.shipped_model import FILE, sha256_of
from tests.model_cards import card_of
from tests.toy_sites import write_site

TINY = [
    "network.widths=[4, 4, 8, 8]",
    "network.first_stride=1",
    "sampling.patch_shape=[32, 32, 32]",
    "standardization.method=z-score",
    "compute.threads=1",
]
OPTIONAL = [*TINY, 'task.optional_modalities=["T1w"]']


def untrained(overrides: list[str]) -> Model:
    recipe = load_recipe("default", overrides=overrides)
    return Model(
        recipe=recipe,
        template={},
        threshold=0.5,
        round_index=7,
        run="first",
        parameters=part(initial_parameters(recipe, n_sites=1), NETWORK),
    )


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("hospital")
    bids = write_site(base, name="lyon", seed=0, n_subjects=1).parent / "bids"
    anat = bids / "sub-01" / "anat"
    return {name: anat / f"sub-01_{name}.nii.gz" for name in ("FLAIR", "T1w")}


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """A run's model, packed by the command into a folder as an installation has it."""
    model = untrained(OPTIONAL)
    write_model(model, tmp_path / "model.safetensors")
    (tmp_path / "card.md").write_text(card_of(model), encoding="utf-8")
    folder = tmp_path / "shipped"
    folder.mkdir()
    arguments = ["model", "pack", str(tmp_path / "model.safetensors")]
    arguments += ["--card", str(tmp_path / "card.md"), "--out", str(folder / FILE)]
    assert main(arguments) == 0
    return folder


@pytest.fixture
def installed(packed: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(shipped, "FOLDER", packed)
    return packed


def test_a_packed_model_has_half_the_size_its_card_and_its_digest(packed: Path) -> None:
    file, whole = packed / FILE, packed.parent / "model.safetensors"
    assert file.stat().st_size < 0.7 * whole.stat().st_size
    before, after = read_model(whole), read_model(file)
    assert (after.recipe, after.threshold, after.run) == (before.recipe, 0.5, "first")
    for name, array in after.parameters.items():
        np.testing.assert_allclose(array, before.parameters[name], rtol=2**-11, atol=2**-25)
    assert after.card == card_of(before)
    assert (packed / "lesions.sha256").read_text() == f"{sha256_of(file)}  {FILE}\n"


def test_a_model_is_not_packed_with_a_card_that_says_too_little(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_model(untrained(TINY), tmp_path / "model.safetensors")
    (tmp_path / "card.md").write_text("# Lesions\n", encoding="utf-8")
    out = tmp_path / "packed.safetensors"
    arguments = ["model", "pack", str(tmp_path / "model.safetensors"), "--out", str(out)]
    assert main([*arguments, "--card", str(tmp_path / "card.md")]) == 2
    assert "a section '## Limits' with text" in capsys.readouterr().err
    assert not out.exists()


def test_a_model_is_not_packed_whose_parameters_are_of_another_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = untrained(TINY)
    _, *others = model.parameters
    cut = replace(model, parameters={name: model.parameters[name] for name in others})
    write_model(cut, tmp_path / "model.safetensors")
    (tmp_path / "card.md").write_text(card_of(model), encoding="utf-8")
    out = tmp_path / "packed.safetensors"
    arguments = ["model", "pack", str(tmp_path / "model.safetensors"), "--out", str(out)]
    assert main([*arguments, "--card", str(tmp_path / "card.md")]) == 1
    assert "parameters do not fit" in capsys.readouterr().err
    assert not out.exists()


def test_what_would_steer_a_terminal_is_shown_as_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = replace(untrained(TINY), run="\x1b[2Jfirst", card="# A [red]card\n\x1b]0;x\x07 \x9b31m")
    write_model(model, tmp_path / "model.safetensors")
    assert main(["model", "show", "--model", str(tmp_path / "model.safetensors")]) == 0
    told = capsys.readouterr().out
    assert "\\x1b[2Jfirst" in told
    assert "# A [red]card\n\\x1b]0;x\\x07 \\x9b31m\n" in told


def test_what_is_shown_of_the_installed_model_is_what_its_file_holds(
    installed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["model", "show"]) == 0
    told = capsys.readouterr().out
    for words in (sha256_of(installed / FILE), RESEARCH_USE, "## Attribution", "FLAIR, T1w"):
        assert words in told
    assert main(["model", "show", "--model", str(installed / FILE), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["can_do_without"] == ["T1w"]
    assert facts["recipe_sha256"] == untrained(OPTIONAL).recipe.sha256()


def test_a_runs_own_model_is_shown_without_a_card(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_model(untrained(TINY), tmp_path / "model.safetensors")
    assert main(["model", "show", "--model", str(tmp_path / "model.safetensors")]) == 0
    told = capsys.readouterr().out
    assert "It has no card" in told
    assert RESEARCH_USE in told


def test_the_installed_model_predicts_from_both_images_and_from_the_flair_alone(
    installed: Path, case: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mask.nii.gz"
    flair, t1 = ["--flair", str(case["FLAIR"])], ["--t1", str(case["T1w"])]
    assert main(["predict", *flair, *t1, "--out", str(out), "--quiet"]) == 0
    captured = capsys.readouterr()
    assert f"note: {RESEARCH_USE}" in captured.err
    assert "predicted without it" not in captured.err
    assert main(["predict", *flair, "--out", str(out), "--json", "--overwrite"]) == 0
    captured = capsys.readouterr()
    assert "no T1w: predicted without it" in json.loads(captured.out)["notes"]
    assert RESEARCH_USE in captured.err
    assert read_volume(out).data.shape == read_volume(case["FLAIR"]).data.shape


def test_without_an_installed_model_predict_says_what_to_do_and_writes_nothing(
    case: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "nothing")
    out = tmp_path / "mask.nii.gz"
    assert main(["predict", "--flair", str(case["FLAIR"]), "--out", str(out)]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "this installation of LesionFed has no model of its own" in told
    assert "Name one with --model FILE" in told
    assert not out.exists()


def test_an_installed_model_that_was_changed_is_not_used(
    installed: Path, case: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_model(untrained(OPTIONAL), installed / FILE)
    out = tmp_path / "mask.nii.gz"
    assert main(["predict", "--flair", str(case["FLAIR"]), "--out", str(out)]) == 1
    assert "The file was changed or cut off" in " ".join(capsys.readouterr().err.split())
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["model.safetensors", "--flair", "F"],
            "model.safetensors: want every file with its option",
        ),
        (
            ["--image", "FLAIR=F"],
            "--image FLAIR=F: this image has an option of its own. Write --flair",
        ),
        (["--image", "T1w=T"], "Write --t1 T"),
        (["--flair", "F", "--flair", "G"], "--flair: want one file, got F, G. Of two dates give"),
        (["--raw"], "want at least one image, such as --flair FILE, got none"),
    ],
)
def test_the_way_of_an_older_version_is_refused_with_the_new_one(
    arguments: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", *arguments, "--out", str(tmp_path / "mask.nii.gz")]) == 2
    assert told in " ".join(capsys.readouterr().err.split())


def test_a_t1w_that_was_not_given_is_zeros_beside_a_flair_as_ever(
    case: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Float32Array] = []

    def looked_at(network: nn.Module, case: PreparedCase, recipe: Recipe) -> Float32Array:
        seen.append(np.array(case.image))
        return np.zeros(case.brain.shape, np.float32)

    monkeypatch.setattr(predict_module, "segment", looked_at)
    predict(untrained(OPTIONAL), case, None)
    predict(untrained(OPTIONAL), {"FLAIR": case["FLAIR"]}, None)
    both, alone = seen
    assert both.shape == alone.shape
    np.testing.assert_array_equal(alone[0], both[0])
    assert both[1].any()
    assert not alone[1].any()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"T1w"}, r"reads FLAIR, T1w, and can do without T1w; given were T1w. Add --flair FILE."),
        ({"FLAIR", "T2w"}, r"given were FLAIR, T2w. Leave out --image T2w=FILE."),
    ],
)
def test_what_is_missing_or_too_much_is_named_as_the_command_takes_it(
    case: dict[str, Path], given: set[str], told: str
) -> None:
    with pytest.raises(ModelFileError, match=told):
        predict(untrained(OPTIONAL), {name: case["FLAIR"] for name in given}, None)
