"""Aslani et al. 2020: every site has one subject, in one date, and the folds are over sites."""

from __future__ import annotations

from pathlib import Path

from server.cli import main
from server.evaluation.case_row import read_cases
from server.events.history import read_run
from tests.toy_sites import write_site


def test_six_sites_of_one_subject_make_three_folds_each_judged_once(tmp_path: Path) -> None:
    sites: list[str] = []
    for seed in range(6):
        name = f"site{seed}"
        data = write_site(tmp_path / name, name=name, seed=seed, label=name, n_subjects=1).parent
        sites += ["--site", f"{name}={data / 'bids'}"]
    settings = [
        "network.widths=[4, 4, 8, 8]",
        "sampling.patch_shape=[32, 32, 32]",
        "sampling.batch_size=1",
        "optimizer.steps=1",
        "inference.overlap=0",
        "compute.threads=1",
    ]
    changes = [part for setting in settings for part in ("--set", setting)]
    out = tmp_path / "study"
    fixed = ["--folds", "3", "--rounds", "1", "--seeds", "0", "--no-images", "--quiet"]
    study = ["study", "--recipe", "aslani2020", "--variant", "uniform", *fixed]
    assert main([*study, *changes, *sites, "--out", str(out)]) == 0
    judged = []
    for fold in (1, 2, 3):
        run = out / "uniform" / f"fold-{fold}-seed-0"
        judged += [row.site for row in read_cases(run / "evaluation" / "cases.csv")]
        history = read_run(run / "events.jsonl")
        assert len(history.sites("train")) == len(history.sites("validation")) == 2
        assert history.selected is not None
        assert history.selected.by == "mean Dice on the validation sites"
        assert all(set(split.parts) == {"training"} for split in history.splits.values())
    assert sorted(judged) == [f"site{n}" for n in range(6)]
