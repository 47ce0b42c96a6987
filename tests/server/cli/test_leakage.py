"""What the commands refuse before their first round: nothing is trained in this file."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from common.imaging.volume import read_volume
from common.learning.model import new_network
from common.learning.networks.parameters import parameters_of
from common.model_file import Model, write_model
from common.recipe.recipe import load_recipe
from server.cli import main
from server.run.data_record import places_of
from server.run.leakage import examined_places
from server.run.participation import remember_threshold_sites
from server.run.run_folder import RunFolder
from server.simulate import lay_out
from tests.toy_sites import write_site
from tests.volumes import put

NAMES = ("lyon", "ghent", "turin", "porto")
RECIPE = load_recipe("default", overrides=["network.widths=[4, 4, 8, 8]", "network.first_stride=1"])


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("toys")
    for seed, name in enumerate(NAMES):
        write_site(base / name, name=name, seed=seed, n_subjects=1, label=name)
    return base


@pytest.fixture
def data(toys: Path, tmp_path: Path) -> dict[str, Path]:
    """Name -> BIDS folder of four sites of one subject each, to be changed at will."""
    folders = {name: tmp_path / "data" / name for name in NAMES}
    for name, folder in folders.items():
        shutil.copytree(toys / name / "bids", folder)
    return folders


def same_folder(data: dict[str, Path]) -> str:
    data["porto"].rename(data["porto"].with_name("away"))
    data["porto"].symlink_to(data["lyon"])
    return "are one folder"


def same_subject(data: dict[str, Path]) -> str:
    image = read_volume(data["porto"] / "sub-porto01" / "anat" / "sub-porto01_FLAIR.nii.gz")
    for modality in ("FLAIR", "T1w"):  # the label of lyon's subject, on an image of its own
        image.data[image.data > 0] += 1
        put(image, data["porto"] / "sub-lyon01" / "anat" / f"sub-lyon01_{modality}.nii.gz")
    return "both have sub-lyon01"


def same_voxels(data: dict[str, Path]) -> str:
    image = read_volume(data["lyon"] / "sub-lyon01" / "anat" / "sub-lyon01_FLAIR.nii.gz")
    put(image, data["porto"] / "sub-new" / "anat" / "sub-new_FLAIR.nii")
    return "sub-lyon01 FLAIR holds the same voxels as sub-new FLAIR"


WAYS = [same_folder, same_subject, same_voxels]

COMMANDS = {
    "simulate": ["simulate", "--site", "lyon", "--site", "ghent", "--held-out", "porto"],
    "simulate, validation": ["simulate", "--site", "lyon", "--validation", "porto"],
    "simulate, two that train": ["simulate", "--site", "lyon", "--site", "porto"],
    "simulate, controls": ["simulate", "--site", "lyon", "--controls", "porto"],
    "leave-site-out": ["leave-site-out", "--site", "lyon", "--site", "ghent", "--site", "porto"],
    "study": ["study", "--site", "lyon", "--held-out", "porto", "--validation", "turin"],
    "study in folds": [
        *("study", "--folds", "3"),
        *("--site", "lyon", "--site", "ghent", "--site", "porto"),
    ],
}


def called(words: list[str], data: dict[str, Path], out: Path, *more: str) -> int:
    """The command with each site's name as NAME=PATH."""
    arguments = [f"{word}={data[word]}" if word in data else word for word in words]
    return main([*arguments, "--out", str(out), *more])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("command", COMMANDS)
def test_data_in_two_parts_are_refused_before_anything_is_written(
    command: str,
    way: Callable[[dict[str, Path]], str],
    data: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = way(data)
    assert called(COMMANDS[command], data, tmp_path / "run") == 2
    error = " ".join(capsys.readouterr().err.split())
    assert told in error
    assert "lyon (" in error
    assert "porto (" in error
    assert not (tmp_path / "run").exists()


@pytest.fixture
def run(data: dict[str, Path], tmp_path: Path) -> RunFolder:
    """A run in which lyon trains and turin chooses, with a model that nobody has trained."""
    folder = RunFolder(tmp_path / "run")
    sites, choosing = {"lyon": data["lyon"]}, {"turin": data["turin"]}
    lay_out(folder, RECIPE, sites=sites, validation=choosing)
    parameters = parameters_of(new_network(RECIPE))
    write_model(
        Model(
            recipe=RECIPE,
            template={},
            threshold=0.5,
            round_index=1,
            run="run",
            parameters=parameters,
        ),
        folder.model_file,
    )
    return folder


@pytest.mark.parametrize("way", WAYS)
def test_evaluate_refuses_what_trained_by_the_record_of_the_run(
    way: Callable[[dict[str, Path]], str],
    run: RunFolder,
    data: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = way(data)
    words = ["evaluate", str(run.model_file), "--held-out", "porto"]
    assert called(words, data, tmp_path / "out") == 2
    error = " ".join(capsys.readouterr().err.split())
    if way is same_folder:
        assert "this site trained this network, so it cannot judge it" in error
    elif way is same_voxels:
        assert "sub-new FLAIR holds the same voxels as sub-lyon01 FLAIR of training site" in error
    else:
        assert told in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("command", ["evaluate", "threshold"])
def test_the_sites_of_one_evaluation_share_nothing(
    command: str,
    way: Callable[[dict[str, Path]], str],
    run: RunFolder,
    data: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = way(data)
    model = shutil.copy(run.model_file, tmp_path / "model.safetensors")
    option = "--held-out" if command == "evaluate" else "--on"
    words = [command, str(model), option, "lyon", option, "porto"]
    assert called(words, data, tmp_path / "out") == 2
    assert told in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_threshold_refuses_the_images_of_a_site_that_trained(
    run: RunFolder, data: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    same_voxels(data)
    words = ["threshold", str(run.model_file), "--on", "porto"]
    assert called(words, data, tmp_path / "out") == 2
    assert "sub-new FLAIR holds the same voxels" in " ".join(capsys.readouterr().err.split())


def test_evaluate_refuses_a_site_that_chose_the_threshold_later(
    run: RunFolder, data: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen_on = examined_places(
        places_of({"ghent": data["ghent"]}, "threshold"), recipe=RECIPE, labels_are_local=False
    )
    remember_threshold_sites(run.model_file, chosen_on)
    words = ["evaluate", str(run.model_file), "--held-out", "ghent"]
    assert called(words, data, tmp_path / "out") == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "held-out site ghent (" in error
    assert "and site for the threshold ghent (" in error
    assert "are one folder" in error
    remember_threshold_sites(tmp_path / "alone" / "model.safetensors", chosen_on)  # no run there


@pytest.mark.parametrize("command", ["simulate", "study"])
def test_a_loss_is_not_learned_from_the_masks_of_those_who_judge(
    command: str, data: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    masks = str(data["porto"] / "derivatives")
    words = [command, "--recipe", "kamraoui2021", "--site", "lyon", "--held-out", "porto"]
    assert called(words, data, tmp_path / "run", "--lesion-masks", masks) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "the lesion masks in" in error
    assert "held-out site porto (" in error
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("nothing_scored")
def test_evaluate_says_what_it_cannot_tell_of_a_model_alone(
    run: RunFolder, data: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", str(run.model_file), "--held-out", "porto"]
    assert called(words, data, tmp_path / "first") == 0
    assert "nobody can tell" not in capsys.readouterr().err
    model = shutil.copy(run.model_file, tmp_path / "model.safetensors")
    words = ["evaluate", str(model), "--held-out", "lyon"]  # which trained it
    assert called(words, data, tmp_path / "second") == 0
    error = " ".join(capsys.readouterr().err.split())
    assert "note: beside" in error
    assert "nobody can tell here whether this network has seen one of these cases" in error


@pytest.fixture
def nothing_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused or noted is known before: no case is segmented."""
    monkeypatch.setattr("server.evaluation.evaluate.evaluate", lambda *_, **__: {})


@pytest.mark.usefixtures("nothing_scored")
def test_with_local_labels_a_label_is_no_subject_and_an_image_still_is(
    run: RunFolder, data: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    same_subject(data)
    words = ["evaluate", str(run.model_file), "--held-out", "porto"]
    assert called(words, data, tmp_path / "out", "--labels-are-local") == 0
    same_voxels(data)
    assert called(words, data, tmp_path / "out", "--labels-are-local") == 2
    assert "holds the same voxels" in " ".join(capsys.readouterr().err.split())


def test_no_label_and_no_digest_of_an_image_is_in_the_model_file(
    run: RunFolder, data: dict[str, Path]
) -> None:
    record = run.data_record_file.read_text("utf-8")
    assert "sub-lyon01" in record
    content = run.model_file.read_bytes()
    assert b"sub-lyon01" not in content
    for line in record.splitlines():
        text = line.strip().strip('",')
        if len(text) == 32:
            assert text.encode() not in content
            assert bytes.fromhex(text) not in content


def test_that_labels_are_local_is_kept_in_the_run(data: dict[str, Path], tmp_path: Path) -> None:
    same_subject(data)
    folder = RunFolder(tmp_path / "run")
    unseen = {"porto": data["porto"]}
    lay_out(folder, RECIPE, sites={"lyon": data["lyon"]}, unseen=unseen, labels_are_local=True)
    assert folder.consortium().labels_are_local
