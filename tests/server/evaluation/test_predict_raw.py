"""Raw images through the model's own preprocessing, and the mask back on the scanner's grid."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from common.arrays import BoolArray, FloatArray
from common.imaging.grid import Grid
from common.imaging.preprocessing.resampling import resampled
from common.imaging.preprocessing.working_case import WorkingImage
from common.imaging.volume import Volume, read_volume, write_volume
from common.metrics.threshold_choice import ThresholdChoice
from common.model_file import read_model, write_model
from server.cli import main
from server.evaluation.predict import predict_raw
from tests.no_charts import without_charts
from tests.toy_sites import write_site

TRAINED = [
    "network.widths=[4, 4, 8, 8]",
    "network.first_stride=1",
    "sampling.patch_shape=[32, 32, 32]",
    "optimizer.steps=40",
    "federation.rounds=1",
    "compute.threads=1",
    'preprocessing.steps=["register", "brain", "resample", "crop"]',
    "preprocessing.spacing_mm=1.2",
]
"""The steps that do not need a head; the toys are stripped ellipsoids."""


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("hospital")
    return write_site(base, name="lyon", seed=0, n_subjects=2).parent / "bids"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, hospital: Path) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    options = [part for setting in TRAINED for part in ("--set", setting)]
    arguments = ["simulate", "--site", f"lyon={hospital}", "--quiet", "--out", str(out), *options]
    with without_charts():
        assert main(arguments) == 0
    return out / "model.safetensors"


def oblique() -> FloatArray:
    """The toys' grid without its shear, which a scanner does not have: 10 degrees about k."""
    affine = np.eye(4)
    c, s = np.cos(np.radians(10)), np.sin(np.radians(10))
    affine[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.diag([1.2, 1.2, 1.5])
    affine[:3, 3] = (-28.0, -20.0, -30.0)
    return affine


def anatomical(hospital: Path, modality: str) -> Volume:
    file = hospital / "sub-01" / "anat" / f"sub-01_{modality}.nii.gz"
    return Volume(read_volume(file).data, oblique())


@pytest.fixture
def moved(hospital: Path, tmp_path: Path) -> dict[str, Path]:
    """The FLAIR as it is, and the T1w of a patient who moved 3 mm, on a coarser grid."""
    move = np.eye(4)
    move[:3, 3] = (3.0, -2.0, 1.0)
    t1w = WorkingImage(volume=anatomical(hospital, "T1w"), to_common=move)
    affine = np.diag([1.6, 1.4, 1.8, 1.0])
    affine[:3, 3] = (-32.0, -30.0, -34.0)
    coarse = resampled(t1w, Grid(shape=(40, 42, 38), affine=affine), interpolation="linear")
    files = {"FLAIR": tmp_path / "flair.nii.gz", "T1w": tmp_path / "t1w.nii.gz"}
    write_volume(anatomical(hospital, "FLAIR"), files["FLAIR"])
    write_volume(coarse, files["T1w"])
    return files


def options(files: dict[str, Path]) -> list[str]:
    return ["--flair", str(files["FLAIR"]), "--t1", str(files["T1w"])]


def test_the_mask_of_raw_images_lies_on_the_flairs_own_grid_and_on_its_lesions(
    model: Path, hospital: Path, moved: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "mask.nii.gz"
    assert (
        main(
            [
                "predict",
                "--model",
                str(model),
                "--raw",
                *options(moved),
                "--out",
                str(out),
                "--quiet",
            ]
        )
        == 0
    )
    found, flair = read_volume(out), read_volume(moved["FLAIR"])
    assert found.data.shape == flair.data.shape
    np.testing.assert_allclose(found.affine, flair.affine, atol=1e-5)
    reference = hospital / "derivatives" / "manual" / "sub-01" / "anat"
    truth = read_volume(reference / "sub-01_desc-lesion_mask.nii.gz").data > 0
    lesion = found.data > 0
    dice = 2 * np.count_nonzero(truth & lesion) / (truth.sum() + lesion.sum())
    assert dice > 0.6  # about 0.9 on the prepared images; two interpolations cost the edges


@pytest.mark.parametrize("fewest", [1, 30])
def test_the_threshold_and_the_smallest_lesion_are_looked_at_on_the_scanners_grid(
    model: Path, moved: dict[str, Path], fewest: int
) -> None:
    trained = read_model(model)
    inference = trained.recipe.inference.model_copy(update={"min_lesion_voxels": fewest})
    recipe = trained.recipe.model_copy(update={"inference": inference})
    found = predict_raw(dataclasses.replace(trained, recipe=recipe), moved, None)
    above = found.probability.data > trained.threshold
    sizes = [int(above[lesion].sum()) for lesion in every_lesion(above)]
    assert found.mask.data.sum() == sum(size for size in sizes if size >= fewest)
    assert found.mask.data.any()
    assert not (found.mask.data & ~above).any()


def test_a_smallest_volume_chosen_with_the_threshold_takes_the_place_of_the_recipes_voxels(
    model: Path, moved: dict[str, Path], tmp_path: Path
) -> None:
    """On the scanner's grid, whose voxels measure 1.2 x 1.2 x 1.5 = 2.16 mm3: 20 mm3 are 10."""
    trained = read_model(model)
    choice = ThresholdChoice(
        threshold=0.5,
        by="dice",
        split="kept",
        n_cases=1,
        thresholds=(0.5,),
        mean_dice=(0.5,),
        mean_lesion_f1=(0.5,),
        smallest_mm3=20.0,
        smallest_grid_mm3=(0.0, 20.0),
        best_by_smallest=(0.4, 0.5),
    )
    write_model(trained.with_choice(choice), tmp_path / "model.safetensors")
    found = predict_raw(read_model(tmp_path / "model.safetensors"), moved, None)
    above = found.probability.data > 0.5
    sizes = [int(above[lesion].sum()) for lesion in every_lesion(above)]
    assert found.mask.data.sum() == sum(size for size in sizes if size >= 10)
    assert found.mask.data.any()


def every_lesion(mask: BoolArray) -> list[BoolArray]:
    labels, n = ndimage.label(mask, np.ones((3, 3, 3)))
    return [labels == number for number in range(1, n + 1)]


def test_images_on_two_grids_are_refused_without_raw(
    model: Path, moved: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mask.nii.gz"
    assert main(["predict", "--model", str(model), *options(moved), "--out", str(out)]) == 1
    assert "on one grid" in capsys.readouterr().err
    assert not out.exists()


def test_the_notes_of_the_chain_come_with_the_result(
    model: Path, moved: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["predict", "--model", str(model), "--raw", *options(moved), "--json"]
    assert main([*arguments, "--out", str(tmp_path / "mask.nii.gz")]) == 0
    notes = json.loads(capsys.readouterr().out)["notes"]
    assert any("brain mask made from the voxels of the stripped T1w" in note for note in notes)


def test_half_the_digits_of_the_parameters_leave_the_mask_as_it_was(
    model: Path, moved: dict[str, Path], tmp_path: Path
) -> None:
    half = tmp_path / "half.safetensors"
    write_model(read_model(model), half, half=True)
    assert half.stat().st_size < 0.7 * model.stat().st_size  # half, and the description
    whole, halved = (predict_raw(read_model(file), moved, None) for file in (model, half))
    np.testing.assert_allclose(halved.probability.data, whole.probability.data, atol=0.005)
    a, b = whole.mask.data, halved.mask.data
    assert a.any()
    assert 2 * np.count_nonzero(a & b) / (a.sum() + b.sum()) > 0.995


def test_the_flair_alone_goes_through_the_chain_where_the_t1w_is_optional(
    model: Path, moved: dict[str, Path]
) -> None:
    trained = read_model(model)
    task = trained.recipe.task.model_copy(update={"optional_modalities": ("T1w",)})
    recipe = trained.recipe.model_copy(update={"task": task})
    found = predict_raw(
        dataclasses.replace(trained, recipe=recipe), {"FLAIR": moved["FLAIR"]}, None
    )
    flair = read_volume(moved["FLAIR"])
    assert found.mask.data.shape == flair.data.shape
    np.testing.assert_allclose(found.mask.affine, flair.affine, atol=1e-5)
    assert "no T1w: predicted without it" in found.notes
    assert any("made from the voxels of the stripped FLAIR" in note for note in found.notes)


@pytest.mark.parametrize("raw", [True, False])
def test_z_scored_images_are_refused_raw_and_prepared_and_nothing_is_written(
    model: Path,
    hospital: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    raw: bool,
) -> None:
    files = {}
    for modality in ("FLAIR", "T1w"):
        image = anatomical(hospital, modality)
        inside = image.data > 0
        values = image.data[inside]
        image.data[inside] = (values - values.mean()) / values.std()
        files[modality] = tmp_path / f"{modality}.nii.gz"
        write_volume(image, files[modality])
    out = tmp_path / "mask.nii.gz"
    arguments = ["predict", "--model", str(model), *options(files), "--out", str(out)]
    assert main([*arguments, *(["--raw"] if raw else [])]) == 1
    assert "from before any z-score" in capsys.readouterr().err
    assert not out.exists()
