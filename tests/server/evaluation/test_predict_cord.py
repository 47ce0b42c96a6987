"""A model of the spinal cord on images as the scanner gave them, told where the cord is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.arrays import FloatArray
from common.errors import ModelFileError, SiteDataError
from common.imaging.centreline import COLUMNS, moved_nodes, near_centreline
from common.imaging.grid import Grid
from common.imaging.volume import Volume, read_volume, write_volume
from common.learning.model import NETWORK, initial_parameters, part
from common.model_file import Model, write_model
from common.recipe.recipe import load_recipe
from server.cli import main
from server.evaluation.predict import CordFile, predict_raw

SHAPE = (16, 60, 24)
RADIUS_MM = 8.0


def affine() -> FloatArray:
    """Sagittal slices of 2 mm, 1 x 1.2 mm in plane, 20 degrees about the right-left axis."""
    c, s = np.cos(np.radians(20)), np.sin(np.radians(20))
    turn = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    made = np.eye(4)
    made[:3, :3] = turn @ np.array([[2.0, 0, 0], [0, 0, 1.2], [0, 1.0, 0]])
    made[:3, 3] = (-16.0, 10.0, -40.0)
    return made


NODES = moved_nodes(affine(), np.array([(8.0, 5, 12), (8, 30, 13), (8, 55, 11)]))
"""A cord along j, which is closest to head-foot."""


@pytest.fixture(scope="module")
def model() -> Model:
    overrides = [
        "network.widths=[4, 4, 8, 8]",
        "network.first_stride=1",
        "sampling.patch_shape=[32, 32, 32]",
        "preprocessing.spacing_mm=1.5",
        f"preprocessing.cord_radius_mm={RADIUS_MM}",
        "inference.overlap=0",
        "compute.threads=1",
    ]
    recipe = load_recipe("hussein2023", overrides=overrides)
    return Model(
        recipe=recipe,
        template={},
        threshold=0.4,
        round_index=1,
        run="none",
        parameters=part(initial_parameters(recipe, n_sites=1), NETWORK),
    )


@pytest.fixture
def scan(tmp_path: Path) -> dict[str, Path]:
    """A T2w of noise around a darker cord, its table of nodes, and its mask."""
    cord = near_centreline(NODES, Grid(SHAPE, affine()), radius_mm=4.0)
    noise = np.random.default_rng(0).normal(100, 10, SHAPE)
    files = {name: tmp_path / f"{name}.nii.gz" for name in ("T2w", "cord")}
    write_volume(Volume((noise - 40 * cord.data).astype(np.float32), affine()), files["T2w"])
    write_volume(cord, files["cord"])
    files["centreline"] = tmp_path / "centreline.tsv"
    lines = ["\t".join(COLUMNS), *("\t".join(f"{x:.3f}" for x in node) for node in NODES)]
    files["centreline"].write_text("\n".join(lines) + "\n", encoding="utf-8")
    return files


@pytest.mark.parametrize("by", ["centreline", "mask"])
def test_the_answer_lies_on_the_scanners_grid_and_near_the_cord_alone(
    model: Model, scan: dict[str, Path], by: str
) -> None:
    given = {"centreline": scan["centreline"]} if by == "centreline" else {"mask": scan["cord"]}
    found = predict_raw(model, {"T2w": scan["T2w"]}, None, CordFile(**given))
    assert found.probability.data.shape == SHAPE
    np.testing.assert_allclose(found.probability.affine, affine(), atol=1e-5)
    seen = found.probability.data > 0
    # half a diagonal of the prepared and of the scanner's voxels: 1.3 and 1.3 mm
    grid = Grid(SHAPE, affine())
    surely = near_centreline(NODES, grid, radius_mm=RADIUS_MM - 3).data
    perhaps = near_centreline(NODES, grid, radius_mm=RADIUS_MM + 3).data
    assert surely.sum() > 500
    assert seen[surely].all()
    assert not seen[~perhaps].any()


def test_where_nothing_says_where_the_cord_is_both_options_are_named(
    model: Model, scan: dict[str, Path]
) -> None:
    with pytest.raises(ModelFileError, match=r"Give --centreline FILE\.tsv .* or --cord-mask FILE"):
        predict_raw(model, {"T2w": scan["T2w"]}, None)


def test_a_brain_mask_is_refused_not_ignored(model: Model, scan: dict[str, Path]) -> None:
    with pytest.raises(ModelFileError, match=r"takes no brain mask. Leave --brain-mask out"):
        predict_raw(model, {"T2w": scan["T2w"]}, scan["cord"], CordFile(mask=scan["cord"]))


def test_a_cord_is_refused_by_a_model_of_the_brain(scan: dict[str, Path]) -> None:
    recipe = load_recipe("default")
    brain = Model(
        recipe=recipe, template={}, threshold=0.5, round_index=0, run="none", parameters={}
    )
    with pytest.raises(ModelFileError, match=r"'default' looks at the brain. Leave --centreline"):
        predict_raw(brain, {"T2w": scan["T2w"]}, None, CordFile(mask=scan["cord"]))


def test_a_mask_of_the_cord_on_another_grid_than_the_images_is_refused(
    model: Model, scan: dict[str, Path]
) -> None:
    cord = read_volume(scan["cord"])
    moved = cord.affine.copy()
    moved[0, 3] += 30
    write_volume(Volume(cord.data, moved), scan["cord"])
    with pytest.raises(SiteDataError, match=r"want a mask of the cord on the grid of one of"):
        predict_raw(model, {"T2w": scan["T2w"]}, None, CordFile(mask=scan["cord"]))


def test_by_the_command_line_one_file_says_where_the_cord_is(
    model: Model, scan: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_model(model, tmp_path / "model.safetensors")
    out = tmp_path / "mask.nii.gz"
    image = ["--image", f"T2w={scan['T2w']}", "--out", str(out), "--quiet"]
    predict = ["predict", "--model", str(tmp_path / "model.safetensors"), *image]
    centreline, mask = (
        ["--centreline", str(scan["centreline"])],
        ["--cord-mask", str(scan["cord"])],
    )
    for wrong, words in (
        (["--raw"], "Give --centreline FILE.tsv"),
        (["--raw", *centreline, *mask], "want one of --centreline and --cord-mask, got both"),
        (centreline, "are for --raw"),
    ):
        assert main([*predict, *wrong]) != 0
        assert words in " ".join(capsys.readouterr().err.split())
        assert not out.exists()
    assert main([*predict, "--raw", *mask]) == 0
    assert read_volume(out).data.shape == SHAPE
