"""What `predict` says of prepared images whose values or brain mask are odd."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.imaging.volume import Volume, write_volume
from common.learning.model import NETWORK, initial_parameters, part
from common.model_file import Model
from common.recipe.recipe import load_recipe
from server.evaluation.predict import predict
from tests.tissue_brains import brain_of, whole_brain

TINY = [
    "network.widths=[4, 4, 8, 8]",
    "network.first_stride=1",
    "sampling.patch_shape=[32, 32, 32]",
    "standardization.method=z-score",
    "compute.threads=1",
]


@pytest.fixture(scope="module")
def model() -> Model:
    recipe = load_recipe("default", overrides=TINY)
    return Model(
        recipe=recipe,
        template={},
        threshold=0.5,
        round_index=0,
        run="none",
        parameters=part(initial_parameters(recipe, n_sites=1), NETWORK),
    )


def files(where: Path, flair: Volume, t1w: Volume) -> dict[str, Path]:
    paths = {"FLAIR": where / "flair.nii.gz", "T1w": where / "t1w.nii.gz"}
    write_volume(flair, paths["FLAIR"])
    write_volume(t1w, paths["T1w"])
    return paths


def test_modalities_under_each_others_names_are_said(model: Model, tmp_path: Path) -> None:
    right = files(tmp_path, brain_of("FLAIR"), brain_of("T1w"))
    assert predict(model, right, None).notes == ()
    exchanged = {"FLAIR": right["T1w"], "T1w": right["FLAIR"]}
    (note,) = predict(model, exchanged, None).notes
    assert note.startswith("FLAIR, T1w: white matter is brighter than grey by")
    assert note.endswith("are the two exchanged?")


def test_a_brain_mask_of_one_half_is_said_for_each_image(model: Model, tmp_path: Path) -> None:
    flair = brain_of("FLAIR")
    half = whole_brain().astype(np.uint8)
    half[22:] = 0  # of 44 slices from left to right
    write_volume(Volume(half, flair.affine), tmp_path / "brain.nii.gz")
    images = files(tmp_path, flair, brain_of("T1w"))
    notes = predict(model, images, tmp_path / "brain.nii.gz").notes
    assert [note.split(":")[0] for note in notes if "leaves out 50% of" in note] == ["FLAIR", "T1w"]
