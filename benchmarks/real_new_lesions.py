"""New lesions of two real subjects, each predicted by a network that trained on the other.

    python -m benchmarks.real_new_lesions RECIPE --data DATA --phantoms PHANTOMS --out OUT

RECIPE     kamraoui2021 or fenneteau2021
DATA       the site `ljubljana-long`: `derivatives/coreg` holds the FLAIRs of two dates on one grid,
           `derivatives/lesions` the brain and the new lesions of LJLG01 and LJLG19
PHANTOMS   what `lesionfed phantom --recipe RECIPE` made; its site-1 and site-2 train as well
OUT        what is finished there is not done again

The FLAIRs are stripped by the given brain mask and resampled to the phantoms' 2 mm. Then, once
for each subject: three sites train at `--scale small`, two phantom sites and the other subject,
and this subject's Dice and lesion F1 are printed; the run's report shows the pictures. One case a
way: no ranking of recipes follows.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from common.imaging.preprocessing.resampling import common_grid, resampled
from common.imaging.preprocessing.working_case import WorkingImage
from common.imaging.volume import Volume, read_mask, read_volume, write_volume
from common.recipe.recipe import load_recipe
from server.events.history import read_run
from server.run.run_folder import RunFolder
from server.simulate import lay_out, simulate

SUBJECTS = ("LJLG01", "LJLG19")
SPACING_MM = 2.0
MARGIN_MM = 4.0


def main() -> None:
    """Lays the two subjects out as sites, trains both ways, prints a line each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("recipe", choices=("kamraoui2021", "fenneteau2021"))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--phantoms", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    sites = {subject: _site(given.data, subject, given.out) for subject in SUBJECTS}
    recipe = load_recipe(given.recipe, scale="small", overrides=["compute.threads=1"])
    for subject, other in zip(SUBJECTS, reversed(SUBJECTS), strict=True):
        run = RunFolder(given.out / f"{given.recipe}-predicts-{subject}")
        if not run.path.exists():
            phantoms = {name: given.phantoms / name for name in ("site-1", "site-2")}
            trained = phantoms | {other: sites[other]}
            lay_out(run, recipe, sites=trained, unseen={subject: sites[subject]})
        if not run.model_file.exists() or read_run(run.events_file).finished is None:
            simulate(run)
        _print(run, subject)


def _site(data: Path, subject: str, out: Path) -> Path:
    """One subject as a prepared site: both FLAIRs and the new lesions on one grid of 2 mm."""
    site = out / "sites" / subject
    if site.exists():
        return site
    masks = data / "derivatives" / "lesions" / f"sub-{subject}" / "anat"
    start = f"sub-{subject}_space-common_desc-"
    brain = read_mask(masks / f"{start}brain_mask.nii.gz")
    new = read_mask(masks / f"{start}newlesion_mask.nii.gz")
    grid = common_grid(_placed(brain), _placed(brain), spacing_mm=SPACING_MM, margin_mm=MARGIN_MM)
    on_grid = resampled(_placed(brain), grid, interpolation="nearest")
    for session in ("ses-01", "ses-02"):
        anat = data / "derivatives" / "coreg" / f"sub-{subject}" / session / "anat"
        name = f"sub-{subject}_{session}"
        flair = read_volume(anat / f"{name}_space-common_desc-brain_FLAIR.nii.gz")
        prepared = resampled(_placed(flair), grid, interpolation="linear")
        stripped = np.where(on_grid.data, prepared.data, np.float32(0))
        images = site / f"sub-{subject}" / session / "anat"
        derived = site / "derivatives" / "lesions" / f"sub-{subject}" / session / "anat"
        for folder in (images, derived):
            folder.mkdir(parents=True)
        write_volume(Volume(stripped, grid.affine), images / f"{name}_FLAIR.nii.gz")
        write_volume(on_grid, derived / f"{name}_desc-brain_mask.nii.gz")
        if session == "ses-02":
            lesions = resampled(_placed(new), grid, interpolation="nearest")
            write_volume(lesions, derived / f"{name}_desc-newlesion_mask.nii.gz")
    return site


def _placed(volume: Volume) -> WorkingImage:
    return WorkingImage(volume=volume, to_common=np.eye(4))


def _print(run: RunFolder, subject: str) -> None:
    record = read_run(run.events_file)
    for (site, method, round_index), evaluation in sorted(record.evaluations.items()):
        [row] = evaluation.cases
        dice, lesion_f1 = row.metric("dice"), row.metric("lesion_f1")
        print(f"{site} {method} round {round_index}: Dice {dice}, lesion F1 {lesion_f1}")
    print(f"{subject}: {run.path / 'report.html'}", flush=True)


if __name__ == "__main__":
    main()
