from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from common.errors import ConfigError, FlowerError, RunFolderError
from common.recipe.recipe import load_recipe
from server.federation.federation_folder import FederationFolder
from server.flower import submission
from server.flower.submission import (
    bundle_folder,
    lay_out_run,
    planned_consortium,
    require_served,
    submissions,
    submit,
)
from tests.server.federation.made_federation import made_federation
from tests.volumes import image_path, put, stripped_brain, write_site


def test_all_planned_sites_have_their_place_whether_enrolled_or_not(tmp_path: Path) -> None:
    folder = made_federation(tmp_path / "f")
    made = planned_consortium(folder, recipe=load_recipe("default"), name="one")
    assert [(s.name, s.role, s.public_key) for s in made.sites] == [
        ("lyon", "train", None),
        ("ghent", "statistics", None),
        ("turin", "train", "ecdsa T"),
    ]
    assert made.members_file == folder.members_file.resolve()
    assert made.federation == "toys"


def test_a_recipe_that_wants_more_sites_than_are_planned_is_refused_at_once(
    tmp_path: Path,
) -> None:
    folder = made_federation(tmp_path / "f")
    recipe = load_recipe("default", overrides=["federation.quorum=3"])
    with pytest.raises(ConfigError, match=r"quorum = 3 training sites.*plans 2"):
        lay_out_run(folder, recipe=recipe, name="one")
    assert not folder.run("one").path.exists()


def test_held_out_data_are_found_from_the_settings_own_folder(tmp_path: Path) -> None:
    unseen = [{"name": "porto", "data": "held-out/porto"}]
    folder = made_federation(tmp_path / "f", unseen=unseen)
    recipe = load_recipe("default")
    with pytest.raises(ConfigError, match=r"site porto: .*held-out/porto is no folder"):
        planned_consortium(folder, recipe=recipe, name="one")
    (folder.path / "held-out" / "porto").mkdir(parents=True)
    [site] = planned_consortium(folder, recipe=recipe, name="one").unseen
    assert site.data == (folder.path / "held-out" / "porto").resolve()


def test_a_run_is_handed_over_with_its_folder_and_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []
    handed: list[str] = []

    def flwr(folder: FederationFolder, *arguments: str) -> dict[str, Any]:
        asked.append(arguments)
        handed.append(Path(arguments[-1]).read_text())
        return {"success": True, "run-id": "42"}

    monkeypatch.setattr(submission, "flwr", flwr)
    folder = made_federation(tmp_path / "f")
    run = lay_out_run(folder, recipe=load_recipe("default"), name="one")
    assert submit(folder, run) == "42"
    [arguments] = asked
    assert arguments[:2] == ("run", str(bundle_folder()))
    assert handed == [f'run-folder = "{run.path.resolve()}"\n']
    assert [s.flower_run_id for s in submissions(run)] == ["42"]
    with pytest.raises(ConfigError, match=r"a run of this name"):
        lay_out_run(folder, recipe=load_recipe("default"), name="one")


def test_a_damaged_list_of_submissions_is_refused(tmp_path: Path) -> None:
    folder = made_federation(tmp_path / "f")
    run = lay_out_run(folder, recipe=load_recipe("default"), name="one")
    run.submissions_file.write_text('{"time": "x"}\n')
    with pytest.raises(RunFolderError, match=r"a line is not"):
        submissions(run)


def test_without_a_server_nothing_is_submitted(tmp_path: Path) -> None:
    with pytest.raises(FlowerError, match=r"Start `lesionfed serve"):
        require_served(made_federation(tmp_path / "f"))


def test_the_bundle_comes_with_the_package_and_holds_settings_only() -> None:
    names = sorted(path.name for path in bundle_folder().iterdir())
    assert names == ["README.md", "pyproject.toml"]


@pytest.mark.parametrize("way", ["one folder", "one subject", "one image"])
def test_the_coordinators_own_sites_share_nothing(tmp_path: Path, way: str) -> None:
    oslo = write_site(tmp_path / "oslo", subjects=["sub-T1"])
    porto = write_site(tmp_path / "porto", subjects=["sub-P1"], lesions=False)
    if way == "one folder":
        porto = oslo / "derivatives"
    for modality in ("FLAIR", "T1w"):
        if way != "one image":  # write_site gives every first subject the same images
            put(stripped_brain(seed=ord(modality[0])), image_path(porto, "sub-P1", modality))
        if way == "one subject":
            put(stripped_brain(seed=len(modality)), image_path(porto, "sub-T1", modality))
    told = {
        "one folder": "lies inside the other",
        "one subject": "both have sub-T1",
        "one image": "sub-T1 FLAIR holds the same voxels as sub-P1 FLAIR",
    }
    validation = [{"name": "oslo", "data": str(oslo)}]
    unseen = [{"name": "porto", "data": str(porto)}]
    folder = made_federation(tmp_path / "f", validation=validation, unseen=unseen)
    with pytest.raises(ConfigError, match=rf"validation site oslo .*{told[way]}"):
        lay_out_run(folder, recipe=load_recipe("default"), name="one")
    assert not folder.run("one").path.exists()
    if way == "one subject":
        run = lay_out_run(folder, recipe=load_recipe("default"), name="one", labels_are_local=True)
        assert run.consortium().labels_are_local
