from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from client.prepare import job as job_module
from client.prepare.job import Job
from client.prepare.site_work import plan_site
from common.imaging.volume import Volume, write_volume
from tests.client.prepare.jobs import fast_recipe, toy_job
from tests.volumes import image_path, stripped_brain, write_site


def test_a_job_survives_its_way_to_the_worker(tmp_path: Path) -> None:
    job = toy_job(tmp_path)
    again = Job.model_validate_json(job.model_dump_json())
    assert again == job
    assert again.key() == job.key()


def test_the_key_is_the_same_wherever_the_site_and_the_result_lie(tmp_path: Path) -> None:
    keys = set()
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        keys.add(toy_job(tmp_path / name).key())
    assert len(keys) == 1


@pytest.mark.parametrize(
    "override", ["preprocessing.spacing_mm=0.8", "preprocessing.crop_margin_mm=3"]
)
def test_another_setting_of_a_step_is_another_key(tmp_path: Path, override: str) -> None:
    assert toy_job(tmp_path, override).key() != toy_job(tmp_path).key()


def test_a_setting_that_changes_no_voxel_leaves_the_key(tmp_path: Path) -> None:
    assert toy_job(tmp_path, "optimizer.steps=3").key() == toy_job(tmp_path).key()


def test_one_other_voxel_is_another_key(tmp_path: Path) -> None:
    before = toy_job(tmp_path).key()
    brain = stripped_brain()
    data = brain.data.copy()
    data[6, 7, 4] += 1
    write_volume(Volume(data, brain.affine), image_path(tmp_path / "bids", "sub-01", "T1w"))
    assert toy_job(tmp_path).key() != before


def test_a_new_library_or_other_code_of_ours_is_another_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = toy_job(tmp_path)
    keys = {job.key()}
    monkeypatch.setattr(job_module, "code_digest", lambda: "other")
    keys.add(job.key())
    monkeypatch.setattr(importlib.metadata, "version", lambda name: f"{name} 99")
    keys.add(job.key())
    assert len(keys) == 3


def test_a_template_changes_the_page_and_not_the_volumes(tmp_path: Path) -> None:
    plain = toy_job(tmp_path)
    shown = toy_job(tmp_path, template={"FLAIR": (0.5, 0.9, 1.2)})
    assert shown.key() == plain.key()
    assert shown.page_key() != plain.page_key()


def test_two_sessions_go_together_to_their_halfway_space(tmp_path: Path) -> None:
    root = write_site(tmp_path / "bids", sessions=("ses-01", "ses-02"))
    recipe = fast_recipe("preprocessing.space=halfway")
    jobs = plan_site(root, recipe=recipe, out=tmp_path / "out").jobs
    assert [planned.job.name for planned in jobs] == ["sub-01", "sub-02"]
    assert [case.name for case in jobs[0].job.cases] == ["sub-01_ses-01", "sub-01_ses-02"]
