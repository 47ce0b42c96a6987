from __future__ import annotations

import csv
import gzip
import json
import struct
from pathlib import Path

import numpy as np
import pytest

from common.errors import ModelFileError
from common.imaging.volume import Volume, read_volume, write_volume
from common.model_file import read_model, write_model
from server.cli import main
from tests.no_charts import without_charts
from tests.toy_sites import write_site

TINY = [
    "network.widths=[4, 4, 8, 8]",
    "network.first_stride=1",
    "sampling.patch_shape=[32, 32, 32]",
    "optimizer.steps=2",
    "federation.rounds=1",
]


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("hospitals")
    return {
        name: write_site(base / name, name=name, seed=seed, label=name, n_subjects=1).parent
        / "bids"
        for seed, name in enumerate(("lyon", "porto"))
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, hospitals: dict[str, Path]) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    options = [part for setting in TINY for part in ("--set", setting)]
    sites = ["--site", f"lyon={hospitals['lyon']}", "--held-out", f"porto={hospitals['porto']}"]
    with without_charts():
        assert main(["simulate", *sites, "--quiet", "--out", str(out), *options]) == 0
    return out


def images(folder: Path) -> list[str]:
    anat = folder / "sub-porto01" / "anat"
    return [
        part
        for option, modality in (("--flair", "FLAIR"), ("--t1", "T1w"))
        for part in (option, str(anat / f"sub-porto01_{modality}.nii.gz"))
    ]


def test_a_prediction_lies_on_the_images_grid_and_matches_the_evaluation(
    run: Path,
    hospitals: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    mask, probability = tmp_path / "mask.nii.gz", tmp_path / "probability.nii.gz"
    arguments = [
        "predict",
        "--model",
        str(run / "model.safetensors"),
        *images(hospitals["porto"]),
        "--json",
    ]
    assert main([*arguments, "--out", str(mask), "--probability", str(probability)]) == 0
    flair = read_volume(hospitals["porto"] / "sub-porto01" / "anat" / "sub-porto01_FLAIR.nii.gz")
    found, likely = read_volume(mask), read_volume(probability)
    np.testing.assert_allclose(found.affine, flair.affine, atol=1e-5)
    assert found.data.shape == flair.data.shape
    np.testing.assert_array_equal(found.data > 0, likely.data > 0.5)
    printed = json.loads(capsys.readouterr().out)
    [note] = printed["notes"]  # the toys' grid is skew
    assert note.startswith("FLAIR, T1w: two of the axes are not at right angles (cosine 0.0163)")
    volume_ml = (found.data > 0).sum() * found.voxel_volume_mm3 / 1000
    assert printed["lesion_volume_ml"] == pytest.approx(volume_ml)
    table = (run / "evaluation" / "cases.csv").read_text("utf-8")
    [row] = csv.DictReader(table.splitlines())
    reference = hospitals["porto"] / "derivatives" / "manual" / "sub-porto01" / "anat"
    truth = read_volume(reference / "sub-porto01_desc-lesion_mask.nii.gz").data > 0
    dice = 2 * (truth & (found.data > 0)).sum() / (truth.sum() + (found.data > 0).sum())
    assert float(row["dice"]) == pytest.approx(dice)


def thick(source: Path, out: Path, bids: Path) -> Path:
    """The case of `source` under a header whose slices lie 3 mm apart; its BIDS folder."""
    for file in source.rglob("*.nii.gz"):
        image = read_volume(file)
        target = out / bids / file.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        data = image.data.astype(np.uint8) if "mask" in file.name else image.data
        write_volume(Volume(data, image.affine @ np.diag([1, 1, 2, 1])), target)
    return out / bids


def test_another_grid_than_the_trained_one_is_said_with_what_to_do(
    run: Path, hospitals: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(run / "model.safetensors")
    site = thick(hospitals["porto"], tmp_path, Path("bids"))
    where = "the voxels measure 1.22 x 1.22 x 3.01 mm (right, front, up), and the model was trained"
    out = ["--out", str(tmp_path / "mask.nii.gz")]
    assert main(["predict", "--model", model, *images(site), *out, "--json"]) == 0
    captured = capsys.readouterr()
    skew, note = json.loads(captured.out)["notes"]
    assert "not at right angles" in skew
    assert note.startswith(where)
    assert "on 1.22 x 1.22 x 1.50 mm" in note
    assert "Give the scanner's own images with --raw, or prepare them" in note
    assert f"note: {where}" in captured.err
    into = ["--out", str(tmp_path / "evaluation"), "--no-images", "--json"]
    assert main(["evaluate", model, "--held-out", f"porto={site}", *into]) == 0
    captured = capsys.readouterr()
    [note] = json.loads(captured.out)["notes"]
    assert note.startswith(f"porto, 1 of 1 cases (first: sub-porto01): {where}")
    assert "Prepare the site with lesionfed-site prepare" in note
    assert f"note: {note}" in captured.err
    definition = json.loads((tmp_path / "evaluation" / "definition.json").read_text("utf-8"))
    assert definition["notes"] == [note]


def test_a_missing_modality_is_named(
    run: Path, hospitals: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "predict",
        "--model",
        str(run / "model.safetensors"),
        *images(hospitals["porto"])[:2],
    ]
    assert main([*arguments, "--out", str(tmp_path / "mask.nii.gz")]) == 1
    told = "the model reads FLAIR, T1w; given were FLAIR. Add --t1 FILE."
    assert told in " ".join(capsys.readouterr().err.split())


def test_evaluate_gives_the_rows_of_the_run(
    run: Path, hospitals: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "porto"
    model = str(run / "model.safetensors")
    held_out = ["--held-out", f"porto={hospitals['porto']}"]
    assert main(["evaluate", model, *held_out, "--out", str(out), "--no-images", "--json"]) == 0
    [row] = json.loads(capsys.readouterr().out)["cases"]
    assert row["subject"] == "sub-porto01"
    assert (out / "cases.csv").read_bytes() == (run / "evaluation" / "cases.csv").read_bytes()


def test_a_model_file_comes_back_whole(run: Path, tmp_path: Path) -> None:
    model = read_model(run / "model.safetensors")
    write_model(model, tmp_path / "copy.safetensors")
    again = read_model(tmp_path / "copy.safetensors")
    assert again.recipe == model.recipe
    assert again.template == model.template
    assert (again.threshold, again.round_index, again.run) == (0.5, 1, "run")
    for name, array in model.parameters.items():
        np.testing.assert_array_equal(again.parameters[name], array)


def test_a_checkpoint_is_not_taken_for_a_model(run: Path) -> None:
    checkpoint = next((run / "checkpoints").iterdir())
    with pytest.raises(ModelFileError, match=r"A checkpoint is not a model: use the run's model"):
        read_model(checkpoint)


def test_a_model_file_that_was_cut_off_is_refused(run: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes((run / "model.safetensors").read_bytes()[:-10])
    with pytest.raises(ModelFileError, match="not a safetensors file, or cut off"):
        read_model(cut)


def test_a_header_that_contradicts_itself_is_a_note_beside_the_volume(
    run: Path, hospitals: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    anat = hospitals["porto"] / "sub-porto01" / "anat"
    content = bytearray(gzip.decompress((anat / "sub-porto01_FLAIR.nii.gz").read_bytes()))
    di, dj, dk = struct.unpack_from("<3f", content, 80)
    struct.pack_into("<3f", content, 80, di, dj, 2 * dk)
    flair = tmp_path / "FLAIR.nii.gz"
    flair.write_bytes(gzip.compress(content))
    given = ["--flair", str(flair), "--t1", str(anat / "sub-porto01_T1w.nii.gz")]
    out = str(tmp_path / "mask.nii.gz")
    model = str(run / "model.safetensors")
    assert main(["predict", "--model", model, *given, "--out", out, "--json"]) == 0
    (note, *_) = json.loads(capsys.readouterr().out)["notes"]
    assert note.startswith("FLAIR: the header contradicts itself on the voxel size: pixdim says")
    assert note.endswith("a program that goes by pixdim finds 2 times the volume")
