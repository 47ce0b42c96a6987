from __future__ import annotations

from pathlib import Path

import pytest

from common.recipe.recipe import load_recipe
from server.run.participation import RoleInRun, parts_in_run
from server.run.run_folder import RunFolder
from server.simulate import lay_out


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run in which lyon trains, bonn adds controls, turin chooses and porto judges."""
    folder = RunFolder(tmp_path / "run")
    data = {name: tmp_path / "data" / name for name in ("lyon", "bonn", "turin", "porto")}
    for path in data.values():
        path.mkdir(parents=True)
    lay_out(
        folder,
        load_recipe("default"),
        sites={"lyon": data["lyon"]},
        controls={"bonn": data["bonn"]},
        validation={"turin": data["turin"]},
        unseen={"porto": data["porto"]},
    )
    return folder


@pytest.mark.parametrize(
    ("name", "folder", "part"),
    [
        ("lyon", "lyon", "train"),
        ("renamed", "lyon", "train"),
        ("bonn", "bonn", "statistics"),
        ("turin", "turin", "validation"),
        ("renamed", "porto", "unseen"),
        ("porto", "elsewhere", "unseen"),
        ("lyon", "elsewhere", None),  # a hospital's folder tells, not a name that anyone may have
        ("oslo", "oslo", None),
    ],
)
def test_a_site_is_known_by_its_folder_and_a_held_out_one_by_its_name_too(
    run: RunFolder, tmp_path: Path, name: str, folder: str, part: RoleInRun | None
) -> None:
    found = parts_in_run(run.model_file, {name: tmp_path / "data" / folder})
    assert found.get(name) == part


def test_a_relative_path_is_the_same_folder(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = Path("run") / run.model_file.name
    assert parts_in_run(model, {"x": Path("data/lyon")}) == {"x": "train"}


def test_a_model_file_on_its_own_knows_no_site(tmp_path: Path) -> None:
    assert parts_in_run(tmp_path / "model.safetensors", {"lyon": tmp_path}) == {}
