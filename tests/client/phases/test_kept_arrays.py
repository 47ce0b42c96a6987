from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest

from client.phases.kept_arrays import keep_state, kept_state
from client.site.settings import Site
from common.wire.messages import Assignment

ASSIGNMENT = Assignment(
    run="r",
    phase="training",
    round_index=1,
    recipe="{}",
    code_digest="c",
    site="lyon",
    site_index=0,
    n_sites=2,
    exchange_id="0" * 32,
)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(name="lyon", data=tmp_path / "bids", work=tmp_path / "work")


def of(
    round_index: int, *, run: str = "r", recipe: str = "{}", phase: str = "training"
) -> Assignment:
    return dataclasses.replace(
        ASSIGNMENT, round_index=round_index, run=run, recipe=recipe, phase=phase
    )


def keep(value: float, assignment: Assignment, site: Site) -> None:
    keep_state({"step.w": np.array(value, np.float32)}, assignment, site)


def kept(assignment: Assignment, site: Site) -> float | None:
    state = kept_state(assignment, site)
    return None if state is None else float(state["step.w"])


def files(site: Site) -> list[str]:
    return sorted(path.name for path in (site.work / "optimizer-state").rglob("*.safetensors"))


def test_a_round_begins_with_what_the_round_before_left_also_when_it_is_asked_for_again(
    site: Site,
) -> None:
    assert kept(of(1), site) is None
    keep(1.0, of(1), site)
    keep(2.0, of(2), site)
    assert [kept(of(n), site) for n in (1, 2, 3)] == [None, 1.0, 2.0]


def test_a_site_that_missed_a_round_begins_with_its_last_one(site: Site) -> None:
    keep(1.0, of(1), site)
    assert kept(of(4), site) == 1.0


def test_the_last_three_rounds_are_kept_and_none_after_the_one_that_is_done_again(
    site: Site,
) -> None:
    for number in range(1, 6):
        keep(number, of(number), site)
    assert files(site) == [f"training-00000{n}.safetensors" for n in (3, 4, 5)]
    keep(4.5, of(4), site)
    assert files(site) == [f"training-00000{n}.safetensors" for n in (3, 4)]
    assert kept(of(5), site) == 4.5


@pytest.mark.parametrize(
    "other", [{"run": "q"}, {"recipe": '{"a": 1}'}, {"phase": "training-second"}]
)
def test_another_run_recipe_or_stage_has_a_state_of_its_own(
    site: Site, other: dict[str, str]
) -> None:
    keep(1.0, of(1), site)
    assert kept(of(2, **other), site) is None


def test_a_file_that_cannot_be_read_counts_as_none(site: Site) -> None:
    keep(1.0, of(1), site)
    [file] = (site.work / "optimizer-state").rglob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-2])
    assert kept(of(2), site) is None


def test_a_state_of_a_round_that_diverged_counts_as_none(site: Site) -> None:
    keep(1.0, of(1), site)
    keep(float("nan"), of(2), site)
    assert kept(of(3), site) is None
    assert kept(of(2), site) == 1.0


def test_two_runs_may_take_turns_and_a_third_pushes_the_oldest_out(site: Site) -> None:
    for age, run in enumerate(("old", "middle", "new")):
        keep(1.0, of(1, run=run), site)
        newest = max((site.work / "optimizer-state").iterdir(), key=lambda p: p.stat().st_ctime_ns)
        os.utime(newest, (age, age))
    assert [kept(of(2, run=run), site) for run in ("old", "middle", "new")] == [None, 1.0, 1.0]
