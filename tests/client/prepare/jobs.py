"""A small site and the orders that prepare it, without a step that estimates anything."""

from __future__ import annotations

from pathlib import Path

from client.prepare.job import Job
from client.prepare.site_work import PreparationPlan, plan_site
from common.recipe.recipe import Recipe, load_recipe
from tests.volumes import write_site

FAST = 'preprocessing.steps=["brain", "resample", "crop"]'


def fast_recipe(*overrides: str) -> Recipe:
    return load_recipe("default", overrides=[FAST, *overrides])


def toy_site(folder: Path) -> Path:
    """Two subjects with FLAIR, T1w and lesions, stripped, beside a table of participants."""
    root = write_site(folder / "bids")
    table = "participant_id\tdiagnosis\nsub-01\tMS\nsub-02\thealthy\n"
    (root / "participants.tsv").write_text(table, encoding="utf-8")
    return root


def toy_plan(folder: Path, *overrides: str, **keys: object) -> PreparationPlan:
    """The plan for `toy_site` in `folder`, to be written to `folder`/out."""
    root = folder / "bids"
    if not root.exists():
        toy_site(folder)
    return plan_site(root, recipe=fast_recipe(*overrides), out=folder / "out", **keys)  # type: ignore[arg-type] # passed on


def toy_job(folder: Path, *overrides: str, **keys: object) -> Job:
    """The job of the first case."""
    job = toy_plan(folder, *overrides, **keys).jobs[0].job
    job.out.mkdir(exist_ok=True)
    return job


def files_under(folder: Path) -> dict[str, bytes]:
    """Path below `folder` -> bytes of every file, hidden ones as well."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
