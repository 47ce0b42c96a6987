"""A model of two dates: its images by channel, prepared ones and the scanner's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from torch import nn

from common.arrays import BoolArray, Float32Array
from common.errors import ModelFileError, SiteDataError
from common.imaging.dataset.prepared import PreparedCase, baseline_intensity
from common.imaging.volume import Volume, read_mask, read_volume, write_volume
from common.learning.model import NETWORK, initial_parameters, part
from common.model_file import Model, write_model
from common.recipe.recipe import Recipe, load_recipe
from server.cli import main
from server.evaluation import predict as predict_module
from server.evaluation.predict import predict, predict_raw
from tests.toy_sites import longitudinal_site, moved_dates, scanner_affine

RECIPE = load_recipe(
    "default",
    overrides=[
        'task.modalities=["FLAIR"]',
        "task.target=new-lesions",
        "preprocessing.space=halfway",
        'preprocessing.steps=["brain", "resample", "crop"]',
        "preprocessing.spacing_mm=1.2",
        "standardization.method=z-score",
        "network.widths=[4, 4, 8, 8]",
        "network.first_stride=1",
        "sampling.patch_shape=[32, 32, 32]",
        "compute.threads=1",
    ],
)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    """A model that sees what became brighter, in place of a network that was trained to."""

    def brighter(network: nn.Module, case: PreparedCase, recipe: Recipe) -> Float32Array:
        change = baseline_intensity(case, recipe.task)
        return np.where(case.brain & (change > 1.5), np.float32(0.9), np.float32(0.1))

    monkeypatch.setattr(predict_module, "segment", brighter)
    return untrained()


def untrained() -> Model:
    return Model(
        recipe=RECIPE,
        template={},
        threshold=0.5,
        round_index=0,
        run="none",
        parameters=part(initial_parameters(RECIPE, n_sites=1), NETWORK),
    )


def dates(bids: Path) -> dict[str, Path]:
    return {
        f"FLAIR-{n}": bids / "sub-01" / f"ses-0{n}" / "anat" / f"sub-01_ses-0{n}_FLAIR.nii.gz"
        for n in (1, 2)
    }


def new_lesion(bids: Path) -> BoolArray:
    masks = bids / "derivatives" / "manual" / "sub-01" / "anat"
    return read_mask(masks / "sub-01_ses-02_desc-newlesion_mask.nii.gz").data


def dice(a: BoolArray, b: BoolArray) -> float:
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def test_the_later_date_is_the_one_in_which_lesions_are_new(model: Model, tmp_path: Path) -> None:
    bids = longitudinal_site(tmp_path, name="lyon", seed=1, n_subjects=1).parent / "bids"
    files = dates(bids)
    found = predict(model, files, None)
    assert dice(found.mask.data, new_lesion(bids)) > 0.9
    swapped = {"FLAIR-1": files["FLAIR-2"], "FLAIR-2": files["FLAIR-1"]}
    assert not (predict(model, swapped, None).mask.data & new_lesion(bids)).any()


def test_raw_dates_meet_halfway_and_the_mask_lies_on_the_later_flair(
    model: Model, tmp_path: Path
) -> None:
    bids = moved_dates(tmp_path, seed=1)
    found = predict_raw(model, dates(bids), None)
    np.testing.assert_allclose(found.mask.affine, scanner_affine(2), atol=1e-5)
    np.testing.assert_allclose(found.probability.affine, scanner_affine(2), atol=1e-5)
    assert dice(found.mask.data, new_lesion(bids)) > 0.7  # two interpolations cost the edge
    assert len(found.notes) == len(set(found.notes))


def test_a_brain_mask_belongs_to_the_date_on_whose_grid_it_lies(
    model: Model, tmp_path: Path
) -> None:
    bids = moved_dates(tmp_path, seed=1)
    flair = read_volume(dates(bids)["FLAIR-2"])
    file = tmp_path / "brain.nii.gz"
    write_volume(Volume(flair.data > 0, flair.affine), file)
    made = [note for note in predict_raw(model, dates(bids), file).notes if "brain mask" in note]
    assert len(made) == 1  # the earlier date's
    elsewhere = flair.affine.copy()
    elsewhere[2, 3] += 7
    write_volume(Volume(flair.data > 0, elsewhere), file)
    with pytest.raises(SiteDataError, match="the brain mask lies on the grid of no image"):
        predict_raw(model, dates(bids), file)


def test_a_missing_date_is_named(model: Model, tmp_path: Path) -> None:
    bids = longitudinal_site(tmp_path, name="lyon", seed=1, n_subjects=1).parent / "bids"
    only = {"FLAIR": dates(bids)["FLAIR-2"]}
    with pytest.raises(ModelFileError, match=r"reads FLAIR-1, FLAIR-2 \(1: the earlier date"):
        predict(model, only, None)


def test_the_command_takes_an_image_for_each_date(tmp_path: Path) -> None:
    """With the network as drawn: what it finds does not matter here."""
    bids = longitudinal_site(tmp_path / "lyon", name="lyon", seed=1, n_subjects=1).parent / "bids"
    file, out = tmp_path / "model.safetensors", tmp_path / "mask.nii.gz"
    write_model(untrained(), file)
    options = [part for name, path in dates(bids).items() for part in ("--image", f"{name}={path}")]
    assert main(["predict", "--model", str(file), *options, "--out", str(out), "--quiet"]) == 0
    assert read_volume(out).data.shape == read_volume(dates(bids)["FLAIR-2"]).data.shape
